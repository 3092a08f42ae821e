//! The worker's instructions, which the broker leaves in shared memory before it starts.

use std::fmt::Write as _;

use crate::{
    Options,
    policy::{Layers, OnViolation, Policy},
    ring::Ring,
};

/// The environment variable that makes a program a worker.
pub(crate) const MARKER: &str = "LOCKET_SANDBOX_WORKER";

/// Numbers for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) request_bytes: usize,
    pub(crate) reply_bytes: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) files: usize,
    pub(crate) own_pids: bool,
    pub(crate) own_users: bool,
    pub(crate) scannable: bool,
}

impl Setup {
    pub(crate) fn of(options: &Options, files: usize, ring: &Ring, own_pids: bool, own_users: bool) -> Self {
        Self {
            policy: options.policy,
            request_bytes: ring.request_bytes(),
            reply_bytes: ring.reply_bytes(),
            memory_bytes: options.memory_bytes,
            files,
            own_pids,
            own_users,
            scannable: options.scannable,
        }
    }

    fn numbers(&self) -> [u64; 9] {
        [
            self.policy.layers.bits().into(),
            (self.policy.on_violation == OnViolation::Errno).into(),
            self.request_bytes as u64,
            self.reply_bytes as u64,
            self.memory_bytes,
            self.files as u64,
            self.own_pids.into(),
            self.own_users.into(),
            self.scannable.into(),
        ]
    }

    pub(crate) fn encode(&self) -> String {
        self.numbers().iter().fold(String::new(), |mut text, number| {
            let _ = write!(text, "{number} ");
            text
        })
    }

    pub(crate) fn decode(text: &[u8]) -> Option<Self> {
        let numbers: Vec<u64> = std::str::from_utf8(text)
            .ok()?
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect::<Option<_>>()?;
        let &[layers, errno, request, reply, memory_bytes, files, pids, users, scannable] = numbers.as_slice() else {
            return None;
        };
        Some(Self {
            policy: Policy {
                layers: Layers::from_bits(layers as u8),
                on_violation: if errno == 1 { OnViolation::Errno } else { OnViolation::Kill },
            },
            request_bytes: request as usize,
            reply_bytes: reply as usize,
            memory_bytes,
            files: files as usize,
            own_pids: pids == 1,
            own_users: users == 1,
            scannable: scannable == 1,
        })
    }
}

//! Puts up the walls, from inside the worker, before it sees the first byte of a request.
//!
//! The order matters: a wall must not take away what the next one needs. The warm-up runs behind all walls but the list of system
//! calls and the ban on new threads; those two come last, the list at the very end, for every thread.

mod capabilities;
mod descriptors;
mod landlock;
mod limits;
mod namespaces;
mod process;
mod root;
mod seccomp;
mod system;

use crate::{
    policy::{Layer, hash},
    report::{LayerReport, Readiness, Status},
    setup::Setup,
};

/// What a layer came to: a detail, or why it is missing.
type Outcome = Result<String, String>;

/// What a worker that forks leaves to its forks: limits and the list of calls.
#[derive(Debug)]
pub(crate) struct Rest {
    memory: limits::Memory,
}

/// Prepares them, while there is a `/proc`.
pub(crate) fn rest() -> Rest {
    Rest {
        memory: limits::Memory::open(),
    }
}

impl Rest {
    /// Memory of a fork, in bytes.
    const MEMORY: u64 = 256 << 20;

    /// Puts up both.
    pub(crate) fn put_up(&self, on_violation: crate::OnViolation) -> Result<(), String> {
        limits::begin(Self::MEMORY, self.memory).finish()?;
        seccomp::apply(on_violation).map(drop)
    }
}

/// A lock-down that is not finished.
#[derive(Debug)]
pub(crate) struct Lockdown {
    setup: Setup,
    outcomes: Vec<(Layer, Outcome)>,
    limits: Option<limits::Pending>,
}

impl Lockdown {
    /// Puts up every layer that is asked for, but what would keep a warm-up from its work.
    pub(crate) fn begin(setup: Setup) -> Self {
        let asked = setup.policy.layers;
        let mut lockdown = Self {
            setup,
            outcomes: Vec::new(),
            limits: None,
        };
        if asked == crate::policy::Layers::NONE {
            return lockdown;
        }
        lockdown.put(Layer::Descriptors, |_| descriptors::apply());
        // Landlock and seccomp can be had without a capability only by a process that can gain none.
        let no_new_privileges = system::prctl(libc::PR_SET_NO_NEW_PRIVS, [1, 0, 0, 0]);
        // What lies in /proc is read while there is one.
        let title = process::Title::read();
        let memory = limits::Memory::open();
        let (namespaces, root) = (asked.has(Layer::Namespaces), asked.has(Layer::Root));
        if asked.has(Layer::Capabilities) {
            // Another user first, so that the namespaces are that user's.
            lockdown.outcomes.push((Layer::Capabilities, capabilities::leave_root(&setup)));
        }
        let made = if namespaces || root {
            namespaces::enter(&setup)
        } else {
            Ok(String::new())
        };
        lockdown.put(Layer::Namespaces, |setup| {
            let detail = made.clone()?;
            namespaces::close(setup)?;
            Ok(detail)
        });
        lockdown.put(Layer::Root, |_| {
            made.clone()?;
            root::apply()
        });
        if asked.has(Layer::Capabilities) {
            let dropped = capabilities::drop_all();
            let (_, left) = lockdown.outcomes.iter_mut().find(|(layer, _)| *layer == Layer::Capabilities).expect("pushed above");
            *left = match (std::mem::replace(left, Ok(String::new())), dropped, no_new_privileges) {
                (Ok(detail), Ok(_), Ok(())) => Ok(detail),
                (Err(reason), _, _) | (_, Err(reason), _) => Err(reason),
                (_, _, Err(reason)) => Err(format!("no_new_privs: {reason}")),
            };
        } else if namespaces || root {
            // A namespace of ours makes us its administrator, which is no part of the layer.
            let _ = capabilities::drop_all();
        }
        lockdown.put(Layer::Process, |setup| process::apply(setup, title));
        lockdown.put(Layer::Landlock, |_| landlock::apply());
        // After Landlock, which needs a descriptor.
        if asked.has(Layer::Limits) {
            lockdown.limits = Some(limits::begin(setup.memory_bytes, memory));
        }
        lockdown
    }

    fn put(&mut self, layer: Layer, apply: impl FnOnce(&Setup) -> Outcome) {
        if self.setup.policy.layers.has(layer) {
            let outcome = apply(&self.setup);
            self.outcomes.push((layer, outcome));
        }
    }

    /// Puts up the rest, after the warm-up, and says how everything came out.
    pub(crate) fn finish(mut self) -> Readiness {
        if let Some(limits) = self.limits.take() {
            self.outcomes.push((Layer::Limits, limits.finish()));
        }
        let kernel = system::kernel();
        let mut filter = String::new();
        if self.setup.policy.layers.has(Layer::Seccomp) {
            let outcome = seccomp::apply(self.setup.policy.on_violation);
            filter = outcome.clone().unwrap_or_default();
            self.outcomes.push((Layer::Seccomp, outcome));
        }
        self.report(kernel, &filter)
    }

    fn report(&self, kernel: String, filter: &str) -> Readiness {
        let layers: Vec<LayerReport> = Layer::ALL
            .into_iter()
            .map(|layer| {
                let found = self.outcomes.iter().find(|(which, _)| *which == layer);
                let (status, detail) = match found {
                    None => (Status::NotAsked, String::new()),
                    Some((_, Ok(detail))) => (Status::Enforced, detail.clone()),
                    Some((_, Err(reason))) => (Status::Missing(reason.clone()), String::new()),
                };
                LayerReport { layer, status, detail }
            })
            .collect();
        let mut readiness = Readiness {
            layers,
            policy_hash: String::new(),
            kernel,
        };
        let mut policy = self.setup.policy;
        policy.layers = readiness.enforced();
        readiness.policy_hash = hash(&policy.text_with(filter));
        readiness
    }
}

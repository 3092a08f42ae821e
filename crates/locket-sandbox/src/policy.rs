//! What a worker may do, as plain data: layers, the system calls that are left, and one text of it all with its hash.
//!
//! The text is canonical: the same policy gives the same bytes on every machine, so that its hash can be printed in a manual, compiled
//! into a program, and compared with what a running worker says of itself. What depends on the caller (how much memory) or on the
//! kernel (the newest Landlock) is named in the text without its value and told beside it.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod filter;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use std::fmt::Write as _;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use calls::{ALLOWED, Call, Check};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use filter::{digest, program};

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// The descriptor on which a worker hears of a request.
pub(crate) const REQUEST_BELL: i32 = 3;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// The descriptor on which it tells of a reply.
pub(crate) const REPLY_BELL: i32 = 4;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// Shared memory that both sides write, closed once it is mapped.
pub(crate) const RING: i32 = 5;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// The memory of requests, which the worker can map to be read alone, closed once it is.
pub(crate) const REQUESTS: i32 = 6;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// The first of the files that the broker opened, closed once they are mapped.
pub(crate) const FIRST_FILE: i32 = 7;

/// Hash of [`Policy::strict`]'s text, compiled in.
///
/// A test compares it with the hash of the text, so it changes only on purpose.
pub const STRICT_HASH: &str = "44eb0bffc15ab14ad818d13b7053d6e752aad0b8323ae512177e4788c41d827a";

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// The number that a forbidden call returns where violations do not kill; no other call of ours returns it.
pub const FORBIDDEN_ERRNO: i32 = libc::EBADRQC;

/// One of the walls around a worker, each of another mechanism of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Layer {
    /// Nothing is inherited: descriptors and environment.
    Descriptors,
    /// Own user, network, process, IPC and host name namespaces.
    Namespaces,
    /// Own mount namespace whose root is an empty read-only file system.
    Root,
    /// No capability, no way to gain one, not uid 0.
    Capabilities,
    /// Resource limits.
    Limits,
    /// What a process can refuse itself: being read, new executable memory, a title that others see.
    Process,
    /// Landlock with every right handled and no rule.
    Landlock,
    /// The list of system calls.
    Seccomp,
}

impl Layer {
    /// All, in the order in which they are put up.
    pub const ALL: [Self; 8] = [
        Self::Descriptors,
        Self::Namespaces,
        Self::Root,
        Self::Capabilities,
        Self::Limits,
        Self::Process,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Namespaces => "namespaces",
            Self::Root => "root",
            Self::Capabilities => "capabilities",
            Self::Limits => "limits",
            Self::Process => "process",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// What it consists of: its part of the policy's text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Descriptors => {
                "environment empty; every descriptor closed but the bell of requests (read) and the bell of replies (write)"
            }
            Self::Namespaces => {
                "own user, net (no interface up), pid (process 1), ipc, uts namespaces; no further namespace; own session keyring"
            }
            Self::Root => {
                "own mnt namespace; pivot_root to an empty tmpfs, read-only nosuid nodev noexec; old root detached"
            }
            Self::Capabilities => {
                "uid and gid not 0 outside, no groups; no capability: bounding, ambient, permitted, effective, inheritable; \
                 no_new_privs"
            }
            Self::Limits => "core 0, fsize 0, nofile 0, nproc 0, msgqueue 0, memlock 0, as bounded",
            Self::Process => {
                "not dumpable; killed with its parent; own session; where the kernel can: no gain of executable memory, command line \
                 and environment not shown"
            }
            Self::Landlock => "every right of the running abi handled, every scope, no rule",
            Self::Seccomp => "allow-list on all threads, x86-64 only",
        }
    }
}

/// A set of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers(u8);

impl Layers {
    /// Every layer.
    pub const ALL: Self = Self(u8::MAX);
    /// None.
    pub const NONE: Self = Self(0);

    /// These and no other.
    pub fn of(layers: &[Layer]) -> Self {
        layers
            .iter()
            .fold(Self::NONE, |set, &layer| Self(set.0 | 1 << layer as u8))
    }

    /// These without one.
    #[must_use]
    pub fn without(self, layer: Layer) -> Self {
        Self(self.0 & !(1 << layer as u8))
    }

    /// True if the layer is one of these.
    pub fn has(self, layer: Layer) -> bool {
        self.0 & (1 << layer as u8) != 0
    }

    /// The layers, in order.
    pub fn iter(self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(move |&layer| self.has(layer))
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// What happens to a worker that makes a call outside the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnViolation {
    /// The process is killed: the product.
    Kill,
    /// The call returns `FORBIDDEN_ERRNO`: tests, so that a list of attempts can go on.
    Errno,
}

/// What a worker may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The layers that must be up before the first byte of a request.
    pub layers: Layers,
    /// What a forbidden call does.
    pub on_violation: OnViolation,
}

impl Policy {
    /// Every layer, violations kill.
    pub fn strict() -> Self {
        Self {
            layers: Layers::ALL,
            on_violation: OnViolation::Kill,
        }
    }

    /// Some layers only, violations return an error number: to find out what each layer stops.
    pub fn partial(layers: Layers) -> Self {
        Self {
            layers,
            on_violation: OnViolation::Errno,
        }
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    /// The whole policy in words, one line for each layer and each allowed call.
    pub fn text(&self) -> String {
        self.text_with(&digest(&program(self.on_violation)))
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    /// The text with the hash of a given filter, which a worker takes of the bytes that it loaded.
    pub(crate) fn text_with(&self, filter_hash: &str) -> String {
        let mut text = String::from("locket worker policy 1\n");
        for layer in self.layers.iter() {
            let _ = writeln!(text, "layer {}: {}", layer.name(), layer.text());
        }
        if self.layers.has(Layer::Seccomp) {
            let action = match self.on_violation {
                OnViolation::Kill => "kill the process".to_owned(),
                OnViolation::Errno => format!("error {FORBIDDEN_ERRNO} (test)"),
            };
            let _ = writeln!(text, "seccomp otherwise: {action}");
            for call in ALLOWED {
                let _ = writeln!(text, "seccomp allow {call}");
            }
            let _ = writeln!(text, "seccomp filter blake3 {filter_hash}");
        }
        text
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    /// BLAKE3 of the text, in hexadecimal.
    pub fn hash(&self) -> String {
        hash(&self.text())
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// BLAKE3 of a text, in hexadecimal.
pub(crate) fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

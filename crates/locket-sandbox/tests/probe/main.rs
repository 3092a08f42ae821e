//! The worker of the tests, which misbehaves on demand.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;

fn main() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    linux::main();
}

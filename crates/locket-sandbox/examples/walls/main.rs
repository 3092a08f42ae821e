//! Every attempt against every layer: `cargo run --release -p locket-sandbox --example walls [-- NAME…]`.
//!
//! `+` is a wall that stopped the attempt, `!` one that did not, `?` one that could not be tried.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> Result<(), locket_sandbox::SandboxError> {
    linux::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {}

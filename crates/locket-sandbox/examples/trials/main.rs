//! Random hostile workers: `cargo run --release -p locket-sandbox --example trials [-- COUNT [SEED]]`.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> Result<(), locket_sandbox::SandboxError> {
    linux::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {}

//! The interface, from files to answers.

mod compiled;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod files;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod isolation;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod outlaws;
mod parity;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod pictures;

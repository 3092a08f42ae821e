//! A worker that speaks the protocol of models and breaks its rules. Its model adds nothing to four numbers; the first of them says
//! what it does instead of answering, and the name of the function how it describes itself.
#![forbid(unsafe_code)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;

fn main() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    linux::main();
}

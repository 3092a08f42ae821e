//! What the operating system says about this process and this machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this process, over all threads.
pub(crate) fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Largest resident size of this process so far, in kB; 0 where the system does not tell.
pub(crate) fn peak_resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmHWM").unwrap_or(0)
}

/// Name of the processor, or `unknown processor`.
pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line
        .and_then(|line| line.split_once(':'))
        .map(|(_, name)| name.trim());
    name.unwrap_or("unknown processor").to_owned()
}

/// Main memory in bytes, if the system tells.
pub(crate) fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    field(&text, "MemTotal").map(|kb| kb.saturating_mul(1024))
}

/// The kernel, such as `Linux 6.1.0`.
pub(crate) fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim())
        .trim()
        .to_owned()
}

/// The number of a line `name:  number kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{field, peak_resident_kb, process_time};

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmHWMx:\t 1 kB\nVmHWM:\t   2048 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(field(text, "VmHWM"), Some(2048));
        assert_eq!(field(text, "VmRSS"), Some(7));
        assert_eq!(field(text, "Vm"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_size_and_takes_time() {
        assert!(peak_resident_kb() > 100);
        let before = process_time();
        let mut sum = 0u64;
        for n in 0..2_000_000u64 {
            sum = std::hint::black_box(sum ^ n);
        }
        assert!(process_time() > before);
    }
}

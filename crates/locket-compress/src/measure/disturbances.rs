//! What came between a process and its work, as Linux counts it: a hint at where slow predictions come from.

/// Events, over all threads of the process. Zero where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disturbances {
    /// Page faults that needed no disk.
    pub minor_faults: u64,
    /// Page faults that waited for a disk.
    pub major_faults: u64,
    /// Times that a thread had to give up its core to another one.
    pub involuntary_switches: u64,
}

impl Disturbances {
    /// Counts since the process started.
    pub fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let [minor_faults, major_faults] = faults(&stat).unwrap_or_default();
        let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
        let switches = threads.flatten().filter_map(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
            involuntary(&status)
        });
        Self {
            minor_faults,
            major_faults,
            involuntary_switches: switches.sum(),
        }
    }

    /// What happened since an earlier count. Counts of threads that ended meanwhile are lost.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            involuntary_switches: self
                .involuntary_switches
                .saturating_sub(earlier.involuntary_switches),
        }
    }
}

/// Minor and major faults of a line of `/proc/PID/stat`, whose second field is a name in parentheses that may hold anything.
fn faults(stat: &str) -> Option<[u64; 2]> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    Some([fields.get(7)?.parse().ok()?, fields.get(9)?.parse().ok()?])
}

fn involuntary(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Disturbances, faults, involuntary};

    #[test]
    fn counts_are_read_from_the_right_fields() {
        let stat = "77 (a) b (c) R 1 2 3 4 5 6 700 8 9 10 11 12";
        assert_eq!(faults(stat), Some([700, 9]));
        assert_eq!(faults("77"), None);
        let status = "voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t12\n";
        assert_eq!(involuntary(status), Some(12));
    }

    #[test]
    fn touching_fresh_memory_is_counted() {
        let before = Disturbances::now();
        let pages = vec![1u8; 64 << 20];
        let after = Disturbances::now().since(before);
        assert!(
            after.minor_faults > 0 || !cfg!(target_os = "linux"),
            "{after:?} {}",
            pages.len()
        );
    }
}

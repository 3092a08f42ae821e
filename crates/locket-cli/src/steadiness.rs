//! What a process can ask of its system so that its times vary less.

use anyhow::{Result, bail};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Priority among real-time threads, of 1 to 99: above the default of 1, below what watches over the machine.
const PRIORITY: u8 = 50;

/// Options for steadier times
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Steadiness")]
pub(crate) struct SteadinessOptions {
    /// Run on these cores only, with commas: no moving to colder ones, and none of another memory node
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    pin: Vec<usize>,
    /// Keep all memory resident (mlockall); needs a sufficient `ulimit -l`
    #[arg(long)]
    mlock: bool,
    /// Run before all ordinary threads (SCHED_FIFO); needs the right to, such as CAP_SYS_NICE
    #[arg(long)]
    realtime: bool,
}

impl SteadinessOptions {
    /// Asks for it. To be called before threads are started and memory is reserved: both inherit.
    ///
    /// # Errors
    ///
    /// If the system refuses; what was asked for is not silently left out.
    pub(crate) fn apply(&self) -> Result<()> {
        if !self.pin.is_empty() {
            system::pin(&self.pin)?;
        }
        if self.mlock {
            system::lock_memory()?;
        }
        if self.realtime {
            let priority = ThreadPriorityValue::try_from(PRIORITY).map_err(anyhow::Error::msg)?;
            let set = set_thread_priority_and_policy(
                thread_native_id(),
                ThreadPriority::Crossplatform(priority),
                ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
            );
            if let Err(error) = set {
                bail!(
                    "--realtime: the system refuses SCHED_FIFO ({error:?}); it takes CAP_SYS_NICE or a limit `rtprio`"
                );
            }
        }
        Ok(())
    }

    /// What was asked for, for a person; empty if nothing was.
    pub(crate) fn describe(&self) -> String {
        let cores: Vec<String> = self.pin.iter().map(usize::to_string).collect();
        let mut words = Vec::new();
        if !cores.is_empty() {
            words.push(format!("on cores {}", cores.join(", ")));
        }
        words.extend(self.mlock.then(|| "memory locked".to_owned()));
        words.extend(self.realtime.then(|| "real-time priority".to_owned()));
        words.join(", ")
    }
}

#[cfg(target_os = "linux")]
mod system {
    use anyhow::{Context as _, Result, bail};
    use rustix::{
        mm::{MlockAllFlags, mlockall},
        thread::{CpuSet, sched_setaffinity},
    };

    pub(super) fn pin(cores: &[usize]) -> Result<()> {
        let mut set = CpuSet::new();
        for &core in cores {
            if core >= CpuSet::MAX_CPU {
                bail!("--pin: expected cores below {}, found {core}", CpuSet::MAX_CPU);
            }
            set.set(core);
        }
        sched_setaffinity(None, &set).with_context(|| format!("--pin: cores {cores:?}"))
    }

    pub(super) fn lock_memory() -> Result<()> {
        let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
        mlockall(all).context("--mlock: locking memory; see `ulimit -l`")
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use anyhow::{Result, bail};

    pub(super) fn pin(_cores: &[usize]) -> Result<()> {
        bail!("--pin: expected Linux")
    }

    pub(super) fn lock_memory() -> Result<()> {
        bail!("--mlock: expected Linux")
    }
}

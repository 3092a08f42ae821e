//! Many pieces of work whose results are wanted in order.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Apart;

/// What `work` makes of 0 to `count`, in that order, on a thread for each of `states`, which it is given to work with; the first is
/// the caller's. Numbers are handed out as threads come for them.
///
/// # Errors
///
/// One of those that `work` gave; the thread that gave it takes no more, the others go on.
///
/// # Panics
///
/// If there is no state, or `work` panics.
pub fn in_order<S: Send, T: Send, E: Send>(
    count: usize,
    states: Vec<S>,
    work: impl Fn(&mut S, usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let one = |mut state: S| {
        let mut made = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(made);
            }
            made.push((index, work(&mut state, index)?));
        }
    };
    let mut states = states.into_iter();
    let first = states.next().expect("somebody works");
    let mut all = std::thread::scope(|scope| {
        let one = &one;
        let here = Apart::here();
        let workers: Vec<_> = states
            .enumerate()
            .map(|(index, state)| here.spawn(scope, index + 1, move || one(state)))
            .collect();
        let mut all = one(first)?;
        for worker in workers {
            all.extend(worker.join().expect("the work does not panic")?);
        }
        Ok(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, made)| made).collect())
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn results_are_in_order_and_errors_come_back() {
        for threads in [1, 2, 5] {
            let made = in_order(20, vec![0u32; threads], |mine, index| {
                *mine += 1;
                Ok::<_, String>(index * index)
            });
            assert_eq!(made, Ok((0..20).map(|index| index * index).collect()));
            let failed = in_order(20, vec![(); threads], |(), index| {
                if index == 7 { Err(index) } else { Ok(()) }
            });
            assert_eq!(failed, Err(7));
        }
        assert_eq!(in_order(0, vec![()], |(), _| Ok::<u8, ()>(1)), Ok(Vec::new()));
    }
}

//! Every part runs once, on its own range, many times in a row.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

use locket_pool::Pool;

#[test]
fn parts_cover_the_output_once() {
    let mut pool = Pool::new(4).unwrap();
    let mut output = vec![0u8; 1000];
    let mut scratch = vec![0u8; 4 * 8];
    for round in 0..2_000usize {
        let parts = 1 + round % 4;
        let mut borders: Vec<usize> = (0..=parts).map(|k| k * 1000 / parts).collect();
        if parts > 2 {
            borders[1] = 0; // an empty part is a part
        }
        output.fill(0);
        pool.run(&mut output, &borders, &mut scratch, 8, &|part, chunk, scratch| {
            scratch.fill(part as u8);
            for byte in chunk {
                *byte += 1 + part as u8;
            }
            assert!(scratch.iter().all(|&byte| byte == part as u8));
        });
        for (k, range) in borders.windows(2).enumerate() {
            assert!(
                output[range[0]..range[1]].iter().all(|&byte| byte == 1 + k as u8),
                "round {round} part {k}"
            );
        }
    }
}

#[test]
fn sleeping_threads_wake() {
    let mut pool = Pool::new(2).unwrap();
    let mut output = [0u8; 2];
    for _ in 0..20 {
        // Longer than the spin, so that the worker parks; the outcome does not depend on the time.
        std::thread::sleep(std::time::Duration::from_micros(500));
        pool.run(&mut output, &[0, 1, 2], &mut [], 0, &|_, chunk, _| chunk[0] += 1);
    }
    assert_eq!(output, [20, 20]);
}

#[test]
fn a_panic_on_any_thread_reaches_the_caller_and_the_pool_lives() {
    let mut pool = Pool::new(2).unwrap();
    let mut output = [0u8; 2];
    for bad in 0..2 {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(&mut output, &[0, 1, 2], &mut [], 0, &|part, _, _| {
                assert_ne!(part, bad, "on purpose");
            });
        }));
        assert!(outcome.is_err());
        pool.run(&mut output, &[0, 1, 2], &mut [], 0, &|_, chunk, _| chunk[0] += 1);
    }
    assert_eq!(output, [2, 2]);
}

#[test]
fn one_thread_needs_no_worker() {
    let mut pool = Pool::new(1).unwrap();
    assert_eq!(pool.threads(), 1);
    let mut output = [0u8; 3];
    pool.run(&mut output, &[0, 3], &mut [], 0, &|_, chunk, _| chunk.fill(7));
    assert_eq!(output, [7; 3]);
}

#[test]
fn others_are_called_once_each() {
    for threads in 1..5 {
        let mut pool = Pool::new(threads).unwrap();
        let called = Mutex::new(Vec::new());
        for _ in 0..3 {
            pool.on_others(&|| called.lock().unwrap().push(std::thread::current().id()));
        }
        let mut called = called.into_inner().unwrap();
        assert_eq!(called.len(), 3 * (threads - 1));
        called.sort_unstable_by_key(|id| format!("{id:?}"));
        called.dedup();
        assert_eq!(called.len(), threads - 1);
        assert!(!called.contains(&std::thread::current().id()));
    }
}

//! Nothing of a request is left in the worker's memory once it is answered.

use locket_sandbox::{
    Broker,
    residue::{Windows, scan},
};

use super::{PATIENCE, options, probe};

fn content(mut seed: u64) -> Vec<u8> {
    let mut words = Vec::new();
    for _ in 0..512 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        words.extend(seed.to_le_bytes());
    }
    words
}

#[test]
fn what_is_discarded_is_gone_and_what_is_kept_is_found() {
    // The product's worker, all layers up: who owns its user namespace, or is root, may read it.
    let mut broker = Broker::start(probe("discard", options())).expect("a worker starts");
    let pid = broker.pid().expect("it runs");
    let mut found = |kind, seed| {
        let content = content(seed);
        let windows = Windows::of(&content);
        assert!(windows.len() > 500);
        broker.request(kind, &[&content], PATIENCE).expect("an answer");
        scan(pid, &windows, &[]).expect("its memory can be read")
    };
    for seed in 1..6 {
        let residue = found(0, seed);
        assert_eq!(residue.places, 0, "{residue:?}");
        assert!(residue.scanned_bytes > 64 << 10, "{residue:?}");
    }
    let residue = found(1, 7);
    assert!(residue.places >= 90, "the control keeps 100 windows: {residue:?}");
    assert_eq!(found(0, 8).places, 0, "also after it let go");
}

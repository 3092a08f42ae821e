//! The policy's text is what is published, and its hash is what is compiled in.

use locket_sandbox::{ALLOWED, Layer, Layers, Policy, STRICT_HASH};

#[test]
fn the_compiled_in_hash_is_that_of_the_text() {
    assert_eq!(
        Policy::strict().hash(),
        STRICT_HASH,
        "{}",
        Policy::strict().text()
    );
}

#[test]
fn every_layer_and_every_call_changes_the_hash() {
    let whole = Policy::strict();
    for layer in Layer::ALL {
        let less = Policy {
            layers: whole.layers.without(layer),
            ..whole
        };
        assert_ne!(less.hash(), whole.hash(), "{}", layer.name());
    }
    assert_ne!(Policy::partial(Layers::ALL).hash(), whole.hash(), "test filter");
    for call in ALLOWED {
        assert!(whole.text().contains(&format!("allow {call}\n")), "{call}");
    }
}

#[test]
fn the_list_of_calls_is_short_ordered_and_has_no_way_out() {
    assert!(ALLOWED.len() <= 24, "{} calls", ALLOWED.len());
    assert!(ALLOWED.is_sorted_by_key(|call| call.number));
    for gone in [
        libc::SYS_openat,
        libc::SYS_socket,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_execve,
        libc::SYS_ioctl,
        libc::SYS_io_uring_setup,
        libc::SYS_ptrace,
        libc::SYS_prctl,
        libc::SYS_kill,
    ] {
        assert!(ALLOWED.iter().all(|call| call.number != gone), "{gone}");
    }
}

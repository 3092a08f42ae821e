//! Every layer is up before the first request, alone and together, and a missing one is a refusal.

use locket_sandbox::{Broker, Layer, Layers, OnViolation, Policy, Readiness, SandboxError, Status};

use super::{PATIENCE, options, probe, start};

/// What the kernel says of a worker, from outside: a line of its status.
fn status_of(pid: i32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.expect("the field").trim().to_owned()
}

#[test]
fn every_layer_is_up_and_the_kernel_says_so() {
    let mut broker = start(options());
    let readiness: Readiness = broker.readiness().expect("a report").clone();
    assert_eq!(broker.degraded(), "");
    assert_eq!(readiness.enforced(), Layers::ALL, "{readiness:?}");
    assert_eq!(readiness.policy_hash, Policy::strict().hash());
    let detail = |layer| {
        let report = readiness.layers.iter().find(|report| report.layer == layer);
        report.expect("every layer").detail.clone()
    };
    assert!(detail(Layer::Landlock).starts_with("abi "));
    let pid = broker.pid().expect("it runs");
    assert_eq!(status_of(pid, "Seccomp"), "2");
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_of(pid, set), "0000000000000000", "{set}");
    }
    assert!(
        !status_of(pid, "Uid").split_whitespace().any(|uid| uid == "0"),
        "not root"
    );
    assert!(status_of(pid, "NSpid").ends_with("\t1"), "process 1 of its own");
    assert_eq!(
        std::fs::read(format!("/proc/{pid}/cmdline")).expect("a title"),
        b""
    );
    // Another user's namespaces can be read by root only.
    for kind in ["user", "net", "pid", "ipc", "uts", "mnt"] {
        if let Ok(theirs) = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")) {
            let ours = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("ours");
            assert_ne!(theirs, ours, "{kind}");
            let number = theirs.to_string_lossy().replace(['[', ']'], "").replace(':', " ");
            assert!(
                detail(Layer::Namespaces).contains(&number),
                "{number}: {}",
                detail(Layer::Namespaces)
            );
        }
    }
    if let Ok(limits) = std::fs::read_to_string(format!("/proc/{pid}/limits")) {
        for name in [
            "Max open files",
            "Max processes",
            "Max file size",
            "Max core file size",
            "Max msgqueue size",
        ] {
            let line = limits
                .lines()
                .find(|line| line.starts_with(name))
                .expect("the limit");
            let mut values = line[name.len()..].split_whitespace();
            assert_eq!((values.next(), values.next()), (Some("0"), Some("0")), "{name}");
        }
    }
    broker.request(0, &[b"x"], PATIENCE).expect("and it serves");
}

#[test]
fn each_layer_comes_up_alone() {
    for layer in Layer::ALL {
        let mut one = options();
        one.policy = Policy::partial(Layers::of(&[layer]));
        let mut broker = start(one);
        let readiness = broker.readiness().expect("a report");
        assert_eq!(readiness.enforced(), Layers::of(&[layer]), "{}", layer.name());
        broker.request(0, &[b"x"], PATIENCE).expect("it serves");
    }
}

#[test]
fn no_layer_is_possible_for_a_control() {
    let mut none = options();
    none.policy = Policy::partial(Layers::NONE);
    let mut broker = start(none);
    assert_eq!(broker.readiness().expect("a report").enforced(), Layers::NONE);
    let reply = broker.request(5, &[], PATIENCE).expect("a socket is made");
    assert!(i64::from_le_bytes(reply.bytes.try_into().expect("a number")) >= 0);
}

#[test]
fn a_missing_layer_is_a_refusal_unless_it_is_allowed() {
    // A worker that may be scanned lacks the layer that keeps it from being read.
    let mut open = options();
    open.scannable = true;
    let error = Broker::start(probe("misbehave", open.clone())).expect_err("it is refused");
    let SandboxError::Refused { missing } = error else {
        panic!("{error}");
    };
    assert_eq!(missing, "layer process: left readable for a scan of its memory");
    open.allow_degraded = true;
    let broker = start(open);
    assert_eq!(broker.degraded(), missing);
    let readiness = broker.readiness().expect("a report");
    assert_eq!(readiness.enforced(), Layers::ALL.without(Layer::Process));
    assert!(matches!(
        readiness.layers[Layer::Process as usize].status,
        Status::Missing(_)
    ));
    assert_ne!(readiness.policy_hash, Policy::strict().hash());
}

#[test]
fn the_tests_filter_answers_with_its_number() {
    let mut soft = options();
    soft.policy.on_violation = OnViolation::Errno;
    let mut broker = start(soft);
    let reply = broker.request(5, &[], PATIENCE).expect("no violation");
    assert_eq!(i64::from_le_bytes(reply.bytes.try_into().expect("a number")), -1);
}

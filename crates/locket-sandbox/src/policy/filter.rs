//! The list of calls as the program that the kernel runs.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::{ALLOWED, Check, FORBIDDEN_ERRNO, OnViolation};

/// The filter; the same bytes for the same list.
pub(crate) fn program(on_violation: OnViolation) -> BpfProgram {
    let otherwise = match on_violation {
        OnViolation::Kill => SeccompAction::KillProcess,
        OnViolation::Errno => SeccompAction::Errno(FORBIDDEN_ERRNO.cast_unsigned()),
    };
    let rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED
        .iter()
        .map(|call| {
            let rules = call.any_of.iter().map(|checks| {
                SeccompRule::new(checks.iter().map(condition).collect())
                    .expect("a rule of the table has checks")
            });
            (call.number, rules.collect())
        })
        .collect();
    let filter = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, TargetArch::x86_64)
        .expect("the two actions differ");
    filter
        .try_into()
        .expect("the table is far below the longest program")
}

fn condition(check: &Check) -> SeccompCondition {
    let length = if check.wide {
        SeccompCmpArgLen::Qword
    } else {
        SeccompCmpArgLen::Dword
    };
    let operator = if check.mask == u64::MAX {
        SeccompCmpOp::Eq
    } else {
        SeccompCmpOp::MaskedEq(check.mask)
    };
    SeccompCondition::new(check.argument, length, operator, check.value)
        .expect("arguments of the table are 0 to 5")
}

/// BLAKE3 of a filter as the kernel reads it, in hexadecimal.
pub(crate) fn digest(program: &BpfProgram) -> String {
    let mut hasher = blake3::Hasher::new();
    for step in program {
        hasher.update(&step.code.to_le_bytes());
        hasher.update(&[step.jt, step.jf]);
        hasher.update(&step.k.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

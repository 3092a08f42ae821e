//! Layer `landlock`: every right that the running kernel can take is taken, with no exception.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};

use super::Outcome;

/// Takes the rights. What counts is what the kernel says that it enforces, not that the call succeeded.
pub(super) fn apply() -> Outcome {
    let newest = ABI::V10;
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(newest)))
        .and_then(|rules| rules.scope(Scope::from_all(newest)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|error| error.to_string())?;
    let LandlockStatus::Available { effective_abi, .. } = restricted.landlock else {
        return Err("the kernel has no Landlock, or it is off".to_owned());
    };
    // Best effort is only about rights that a later version has: whichever this kernel knows are all taken, or it is no wall.
    let abi = effective_abi as i32;
    if restricted.ruleset == RulesetStatus::NotEnforced {
        return Err(format!("the kernel's Landlock, version {abi}, enforces nothing"));
    }
    if !restricted.no_new_privs {
        return Err("no_new_privs is not set".to_owned());
    }
    Ok(format!("abi {abi}"))
}

//! The channels that stay open are measured: a message gets through each, so that the figures are not those of a broken receiver.

use locket_sandbox::covert::measure;

use super::program;

#[test]
fn a_message_gets_through_what_stays_open() {
    // Failed once in some hundred runs beside other tests; the reason is shown, should it fail twice.
    let found = measure(&program(), 1, 128)
        .or_else(|first| {
            eprintln!("a first measurement failed: {first}");
            measure(&program(), 1, 128)
        })
        .expect("a worker");
    let size = found
        .iter()
        .find(|channel| channel.name == "size of the reply")
        .expect("measured");
    assert_eq!(size.error_rate, 0.0, "lengths arrive as they are: {found:?}");
    let time = found
        .iter()
        .find(|channel| channel.name == "time of the reply")
        .expect("measured");
    // Chance alone is right in one of as many cases as there are levels. What is watched from outside needs a core of its own, which
    // tests may not have.
    let by_chance = 1.0 - (-time.bits_per_symbol).exp2();
    assert!(
        time.error_rate < 0.8 * by_chance && time.bits_per_second > 0.0,
        "{time:?}"
    );
}

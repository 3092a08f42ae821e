//! What the example does on Linux.
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use locket_sandbox::{
    SandboxError, Wipe,
    attempts::{self, MatrixOptions, Outcome, matrix},
    worker,
};

#[global_allocator]
static ALLOCATOR: Wipe = Wipe::new();

pub(crate) fn main() -> Result<(), SandboxError> {
    if worker::requested() {
        attempts::serve();
    }
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut options = MatrixOptions::whole();
    options
        .attempts
        .retain(|attempt| names.is_empty() || names.iter().any(|name| name == attempt.name));
    let found = matrix(&options, &mut |_, _| {})?;
    let columns: Vec<&str> = found
        .configurations
        .iter()
        .map(|configuration| configuration.name.as_str())
        .collect();
    println!("{}", columns.join(" "));
    for row in &found.rows {
        let label = format!("{}/{}", row.family, row.name);
        if let Outcome::Blocked(why) | Outcome::Untried(why) = &row.control {
            println!("{label:32} not testable here: {why}");
            continue;
        }
        let signs: String = row
            .outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Reached => '!',
                Outcome::Blocked(_) => '+',
                Outcome::Untried(_) => '?',
            })
            .collect();
        println!("{label:32} {signs} {}", row.walls);
        if !names.is_empty() {
            println!("{:?}", row.outcomes);
        }
    }
    let testable = found.testable().count();
    println!("{} attempts, {testable} testable", found.rows.len());
    for (column, name) in columns.iter().enumerate() {
        println!("{name:14} blocks {}", found.blocked(column).0);
    }
    let two = found.stopped_by_at_least(2);
    println!(
        "by two or more layers: {two} ({:.1} %)",
        two as f64 * 100.0 / testable as f64
    );
    Ok(())
}

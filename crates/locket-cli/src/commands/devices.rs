//! `locket devices`: what is known of the devices, and how it is known.

use anyhow::{Result, bail};
use locket_report::{
    table::{Column, Table},
    units,
};
use serde::Serialize;

use crate::{
    context::Context,
    devices::{self, Device, Figure, Kind},
    facts,
};

/// Lists the device profiles, or shows one: budgets, what is known, and the source of each figure
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: locket devices watch-series-7")]
pub(crate) struct Options {
    /// The device to show
    name: Option<String>,
}

#[derive(Serialize)]
struct All {
    devices: Vec<Device>,
}

pub(super) fn run(options: &Options, context: &Context) -> Result<u8> {
    let mut all = devices::all()?;
    for device in &mut all {
        if device.name == "host" {
            add_this_machine(device, context);
        }
    }
    if let Some(name) = &options.name {
        let names: Vec<String> = all.iter().map(|device| device.name.clone()).collect();
        let Some(device) = all.into_iter().find(|device| device.name == *name) else {
            bail!("no device is called {name}; known are {}", names.join(", "));
        };
        if context.json {
            context.print_json(&device)?;
        } else {
            context.print(&one(&device, context))?;
        }
        return Ok(0);
    }
    if context.json {
        context.print_json(&All { devices: all })?;
    } else {
        context.print(&list(&all, context))?;
    }
    Ok(0)
}

/// What can be asked of the machine at hand, now.
fn add_this_machine(device: &mut Device, context: &Context) {
    let mut add = |name: &str, value: String, source: &str| {
        device.figures.push(Figure {
            name: name.to_owned(),
            value,
            kind: Kind::Measured,
            source: source.to_owned(),
        });
    };
    add("processor", facts::processor(), "/proc/cpuinfo of this machine");
    add(
        "threads",
        context.threads.to_string(),
        "what this process may use",
    );
    add(
        "instruction set",
        context.isa.to_string(),
        "detected on this machine",
    );
    if let Some(bytes) = facts::memory_bytes() {
        add(
            "main memory",
            units::bytes(bytes),
            "/proc/meminfo of this machine",
        );
    }
}

fn list(all: &[Device], context: &Context) -> String {
    let mut table = Table::new([
        Column::left("device"),
        Column::right("memory"),
        Column::right("latency"),
        Column::left("what it is").at_most(110),
    ]);
    for device in all {
        let memory = device.budgets.memory_bytes();
        let latency = device.budgets.latency_ms();
        table.row([
            device.name.clone(),
            memory.map_or(units::NONE.to_owned(), units::bytes_limit),
            latency.map_or(units::NONE.to_owned(), units::milliseconds_limit),
            device.description.clone(),
        ]);
    }
    format!(
        "{}\nmemory and latency are budgets that Locket proposes; `locket devices NAME` says where figures come from\n",
        context.table(&table)
    )
}

fn one(device: &Device, context: &Context) -> String {
    let mut table = Table::new([
        Column::left("budget").at_most(28),
        Column::left("value"),
        Column::left(""),
        Column::left("why").at_most(110),
    ]);
    for (name, figure) in device.budgets.figures() {
        table.row([name, &figure.value, "chosen", &figure.source]);
    }
    let mut known = Table::new([
        Column::left("what is known").at_most(40),
        Column::left("value"),
        Column::left("how"),
        Column::left("source").at_most(140),
    ]);
    for figure in &device.figures {
        known.row([
            figure.name.as_str(),
            &figure.value,
            figure.kind.word(),
            &figure.source,
        ]);
    }
    let mut text = format!("{}: {}\n", device.name, device.description);
    for table in [table, known] {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&context.table(&table));
        }
    }
    if let Some(unknown) = &device.unknown {
        text.push_str(&format!("\nnot known: {unknown}\n"));
    }
    text
}

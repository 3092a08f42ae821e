//! Where the figures come from, and what is known about the device.

use maud::{Markup, html};

use super::memory::shape;
use super::{mark, scrolling};
use crate::evidence::{Artefact, DataSet, DeviceProfile, Provenance, TensorSignature};
use crate::units;

/// Model, machine, tool, data and device.
pub(super) fn draw(provenance: &Provenance, device: Option<&DeviceProfile>) -> Markup {
    let known = |count: u64, text: fn(u64) -> String| if count > 0 { text(count) } else { String::new() };
    let (source, machine) = (&provenance.source, &provenance.machine);
    html! {
        div.columns {
            (pairs("Source model", &[
                ("file", source.path.clone()),
                ("hash", source.hash.clone()),
                ("format", source.format.clone()),
                ("size", units::bytes(source.file_bytes)),
                ("parameters", known(source.parameters, units::count)),
                ("multiply-adds", known(source.macs, units::short_count)),
                ("inputs", signatures(&source.inputs)),
                ("outputs", signatures(&source.outputs)),
            ]))
            (pairs("Machine", &[
                ("processor", machine.cpu.clone()),
                ("cores", units::count(u64::from(machine.cores))),
                ("instruction set", machine.instruction_set.clone()),
                ("memory", machine.memory_bytes.map_or(String::new(), units::bytes)),
                ("kernel", machine.kernel.clone()),
                ("threads used", units::count(u64::from(provenance.threads))),
            ]))
            (pairs("Run", &[
                ("tool", format!("Locket {}", provenance.tool_version)),
                ("commit", provenance.commit.clone().unwrap_or_default()),
                ("date", provenance.date.clone()),
                ("seed", provenance.seed.to_string()),
                ("package", provenance.package.as_ref().map(artefact).unwrap_or_default()),
            ]))
            (pairs("Data", &provenance.data_sets.iter().map(data_set).collect::<Vec<_>>()))
        }
        @if !provenance.command_line.is_empty() { pre.command { code { (provenance.command_line) } } }
        @if let Some(device) = device { (device_facts(device)) }
    }
}

fn pairs(title: &str, rows: &[(&str, String)]) -> Markup {
    let known: Vec<&(&str, String)> = rows.iter().filter(|(_, value)| !value.is_empty()).collect();
    if known.is_empty() {
        return html! {};
    }
    html! {
        div {
            h3 { (title) }
            dl.pairs { @for (name, value) in known { div { dt { (name) } dd { (value) } } } }
        }
    }
}

fn signatures(tensors: &[TensorSignature]) -> String {
    let one = |tensor: &TensorSignature| {
        let dimensions = tensor
            .shape
            .iter()
            .map(|size| size.map_or("?".to_owned(), |size| size.to_string()));
        format!("{}: {} {}", tensor.name, tensor.dtype, shape(dimensions))
    };
    tensors.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn artefact(package: &Artefact) -> String {
    format!(
        "{}, {}, {}",
        package.path,
        units::bytes(package.file_bytes),
        package.hash
    )
}

fn data_set(data: &DataSet) -> (&str, String) {
    let hash = data
        .hash
        .as_ref()
        .map(|hash| format!(", {hash}"))
        .unwrap_or_default();
    (
        data.role.as_str(),
        format!("{}, {} samples{hash}", data.name, units::count(data.samples)),
    )
}

fn device_facts(device: &DeviceProfile) -> Markup {
    let table = html! {
        table.data {
            thead { tr { th scope="col" { "Device fact" } th scope="col" { "Value" } th scope="col" { "Kind" } th scope="col" { "Source" } } }
            tbody {
                @for fact in &device.facts {
                    tr { th scope="row" { (fact.what) } td { (fact.value) } td { (mark_word(fact.kind)) } td { (fact.source) } }
                }
            }
        }
    };
    html! {
        h3 { "Device profile " (device.name) }
        @if !device.description.is_empty() { p { (device.description) "." } }
        @if !device.facts.is_empty() { (scrolling("Device profile", &table)) }
    }
}

fn mark_word(kind: super::Kind) -> Markup {
    html! { (mark(kind)) @if kind != super::Kind::Modelled { " " (kind.word()) } }
}

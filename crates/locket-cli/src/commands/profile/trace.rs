//! One prediction in the trace event format that Perfetto and Chrome open.

use locket_runtime::Plan;
use serde_json::{Value, json};

use super::measure::Profile;

/// The last observed prediction: a complete event for each step, and a counter of the bytes of live tensors.
pub(super) fn render(plan: &Plan, profile: &Profile) -> String {
    let mut events = vec![
        json!({"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "locket"}}),
        json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": format!("function {}", plan.function)}}),
    ];
    for span in &profile.spans {
        let Some(step) = plan.steps.get(span.index) else {
            continue;
        };
        let start = microseconds(span.start);
        let live = plan.memory.live_bytes.get(span.index).copied().unwrap_or(0);
        let name = step.origin.first().unwrap_or(&step.kind);
        events
            .push(json!({"name": "live tensors", "ph": "C", "pid": 1, "ts": start, "args": {"bytes": live}}));
        events.push(json!({
            "name": name,
            "cat": step.kind,
            "ph": "X",
            "pid": 1,
            "tid": 1,
            "ts": start,
            "dur": microseconds(span.end.saturating_sub(span.start)),
            "args": {
                "operator": step.kind,
                "computes": step.origin,
                "multiply_adds": step.cost.macs,
                "bytes": step.cost.bytes,
                "parts": step.parts.len(),
            },
        }));
    }
    if let Some(last) = profile.spans.last() {
        events.push(json!({"name": "live tensors", "ph": "C", "pid": 1, "ts": microseconds(last.end), "args": {"bytes": 0}}));
    }
    let trace: Value = json!({"displayTimeUnit": "ns", "traceEvents": events});
    format!("{trace}\n")
}

fn microseconds(time: std::time::Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

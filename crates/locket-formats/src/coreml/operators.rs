//! MIL's operators as the file format knows them: parameters in order, defaults, and the targets they exist from.
//!
//! The table is `operators.txt`. It says what may stand in a file; what an operator means and computes is the
//! business of the operator crate.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use locket_mil::Target;

static TABLE: &str = include_str!("operators.txt");

/// One operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operator {
    /// The first target that has it.
    pub(super) since: Target,
    /// Its parameters in MIL's order.
    pub(super) params: Vec<Param>,
}

impl Operator {
    /// The parameter called `name`.
    pub(super) fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }
}

/// One parameter of an operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Param {
    /// Its name.
    pub(super) name: &'static str,
    /// What a program that leaves it out means by that.
    pub(super) default: Default,
    /// The first target that has it.
    pub(super) since: Target,
    /// The first target that has it no more.
    pub(super) before: Option<Target>,
}

impl Param {
    /// Whether programs for `target` may bind it.
    pub(super) fn exists(&self, target: Target) -> bool {
        target >= self.since && self.before.is_none_or(|before| target < before)
    }
}

/// What an unbound parameter stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Default {
    /// It must be bound.
    Required,
    /// Nothing, or something that no constant says.
    Absent,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i32),
    /// A number in the element type of the first input.
    Like(f32),
    /// A float32.
    Float(f32),
    /// A text.
    Text(&'static str),
    /// As many integers as the first input has spatial dimensions.
    Spatial(i32),
    /// Twice as many integers as the first input has spatial dimensions.
    Sides(i32),
    /// All axes of the first input.
    Axes,
    /// A zero for each row of `weight`.
    Rows,
}

/// The operator called `name`, if MIL has it.
pub(super) fn find(name: &str) -> Option<&'static Operator> {
    static OPERATORS: OnceLock<BTreeMap<&'static str, Operator>> = OnceLock::new();
    OPERATORS
        .get_or_init(|| lines().filter_map(parse_line).collect())
        .get(name)
}

fn lines() -> impl Iterator<Item = &'static str> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
}

fn parse_line(line: &'static str) -> Option<(&'static str, Operator)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let since = Target::parse(words.next()?)?;
    let params = words
        .map(|word| parse_param(word, since))
        .collect::<Option<Vec<_>>>()?;
    Some((name, Operator { since, params }))
}

fn parse_param(word: &'static str, since: Target) -> Option<Param> {
    let (word, since) = match word.split_once('@') {
        Some((word, target)) => (word, Target::parse(target)?),
        None => (word, since),
    };
    let (word, before) = match word.split_once('<') {
        Some((word, target)) => (word, Some(Target::parse(target)?)),
        None => (word, None),
    };
    let (name, default) = match (word.split_once('='), word.strip_suffix('?')) {
        (Some((name, default)), _) => (name, parse_default(default)?),
        (None, Some(name)) => (name, Default::Absent),
        (None, None) => (word, Default::Required),
    };
    Some(Param {
        name,
        default,
        since,
        before,
    })
}

fn parse_default(text: &'static str) -> Option<Default> {
    if let Some(text) = text.strip_prefix('"') {
        return text.strip_suffix('"').map(Default::Text);
    }
    Some(match text.split_once(':') {
        Some(("x", number)) => Default::Like(number.parse().ok()?),
        Some(("fp32", number)) => Default::Float(number.parse().ok()?),
        Some(("spatial", number)) => Default::Spatial(number.parse().ok()?),
        Some(("sides", number)) => Default::Sides(number.parse().ok()?),
        Some(_) => return None,
        None => match text {
            "true" => Default::Bool(true),
            "false" => Default::Bool(false),
            "axes" => Default::Axes,
            "rows" => Default::Rows,
            number => Default::Int(number.parse().ok()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use locket_mil::Target;

    use super::{Default, find, lines, parse_line};

    #[test]
    fn every_line_of_the_table_is_understood() {
        for line in lines() {
            assert!(parse_line(line).is_some(), "{line}");
        }
        assert_eq!(lines().count(), 166);
    }

    #[test]
    fn parameters_have_targets_and_defaults() {
        let gather = find("gather").unwrap();
        assert_eq!(gather.since, Target::Ios15);
        let batch_dims = gather.param("batch_dims").unwrap();
        assert_eq!(
            (batch_dims.since, batch_dims.default),
            (Target::Ios16, Default::Int(0))
        );
        let shape = find("constexpr_lut_to_dense").unwrap().param("shape").unwrap();
        assert!(shape.exists(Target::Ios17) && !shape.exists(Target::Ios18));
        assert_eq!(
            find("conv").unwrap().param("pad_type").unwrap().default,
            Default::Text("valid")
        );
        assert!(find("locket.conv").is_none());
    }
}

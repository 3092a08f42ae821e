use expect_test::{Expect, expect};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Cell, Column, Table, Tone, bar, shared_prefix, short_name, shorten, sparkline, width};

fn check(table: &Table, expected: Expect) {
    expected.assert_eq(&table.render(false));
}

#[test]
fn columns_align_and_numbers_stand_right() {
    let mut table = Table::new([
        Column::left("step"),
        Column::right("size"),
        Column::left("decision"),
    ]);
    table
        .row(["Source float32", "12.4 MB", ""])
        .row(["8-bit", "3.1 MB", "accepted"])
        .rule()
        .row(["total", "15.5 MB"]);
    check(
        &table,
        expect![[r#"
            step               size  decision
            ──────────────  ───────  ────────
            Source float32  12.4 MB
            8-bit            3.1 MB  accepted
            ──────────────  ───────  ────────
            total           15.5 MB
        "#]],
    );
}

#[test]
fn a_table_without_titles_has_no_header() {
    let mut table = Table::new([Column::left(""), Column::right("")]).indented(2);
    table
        .row(["format", "ONNX opset 13"])
        .row(["parameters", "1,235,496"]);
    assert_eq!(
        table.render(false),
        "  format      ONNX opset 13\n  parameters      1,235,496\n"
    );
}

#[test]
fn long_names_lose_their_middle_and_wide_characters_count_twice() {
    let mut table = Table::new([Column::left("name").at_most(12), Column::right("n")]);
    table
        .row(["features.block_7.conv.weight", "1"])
        .row(["写真", "22"])
        .row(["naïve é", "333"]);
    check(
        &table,
        expect![[r#"
            name            n
            ────────────  ───
            featur…eight    1
            写真           22
            naïve é       333
        "#]],
    );
}

#[test]
fn a_hostile_name_cannot_reach_the_terminal() {
    let mut table = Table::new([Column::left("")]);
    table.row(["\x1b[31mred\x07 \u{202e}txt\nnext"]);
    check(
        &table,
        expect![[r#"
            �[31mred� �txt next
        "#]],
    );
}

#[test]
fn colour_does_not_change_the_widths() {
    let mut table = Table::new([Column::left("a"), Column::right("b")]);
    table
        .row([Cell::new("over", Tone::Bad), Cell::new("1", Tone::Good)])
        .row(["ok", "22"]);
    let coloured = table.render(true);
    assert!(coloured.contains("\x1b[31mover\x1b[0m"), "{coloured:?}");
    let mut plain = coloured;
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, table.render(false));
}

#[test]
fn bars_and_sparklines_show_the_extremes() {
    assert_eq!(bar(0.5, 4), "██  ");
    assert_eq!(bar(0.53, 4), "██▏ ");
    assert_eq!(bar(2.0, 3), "███");
    assert_eq!(bar(f64::NAN, 3), "   ");
    assert_eq!(sparkline(&[0.0, 1.0, 2.0, f64::NAN, 7.0]), "▁▂▃ █");
    assert_eq!(sparkline(&[5.0, 5.0]), "▁▁");
    assert_eq!(sparkline(&[f64::MIN, f64::MAX]), "▁█");
    assert_eq!(sparkline(&[]), "");
}

#[test]
fn a_shared_path_is_left_out() {
    let names = ["Call/net/conv_1/Add", "Call/net/conv_12/Add", "Call/net/pool"];
    let prefix = shared_prefix(names);
    assert_eq!(prefix, "Call/net/");
    assert_eq!(
        names.map(|name| short_name(name, prefix, 12)),
        ["…conv_1/Add", "…conv_12/Add", "…pool"]
    );
    for names in [
        &[][..],
        &["a/b"],
        &["a/b", "c/d"],
        &["é/a", "è/a"],
        &["abc", "abd"],
    ] {
        assert_eq!(shared_prefix(names.iter().copied()), "", "{names:?}");
    }
    assert_eq!(short_name("a/", "a/", 9), "a/");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_line_of_a_ruled_table_fits(rows in prop::collection::vec(prop::collection::vec(".{0,12}", 3), 0..6)) {
        let mut table = Table::new([Column::left("aa"), Column::right("bb").at_most(6), Column::left("cc")]);
        for row in &rows {
            table.row(row.iter().map(String::as_str));
        }
        let text = table.render(false);
        prop_assert_eq!(text.lines().count(), rows.len() + 2);
        let rule = text.lines().nth(1).map_or(0, width);
        for line in text.lines() {
            prop_assert!(width(line) <= rule, "{line:?}");
        }
    }

    #[test]
    fn shortened_text_keeps_to_its_columns(text in ".{0,30}", columns in 3_usize..20) {
        prop_assert!(width(&shorten(&text, columns)) <= columns);
    }

    #[test]
    fn a_bar_has_its_width(fraction in any::<f64>(), columns in 0_usize..40) {
        prop_assert_eq!(width(&bar(fraction, columns)), columns);
    }
}

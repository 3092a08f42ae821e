//! Colours and the control that chooses between light and dark.
//!
//! Every colour of page and charts is a variable named here once, with its light and its dark value.

use std::fmt::Write as _;

use maud::{Markup, html};

/// Name, light value, dark value.
const COLOURS: [(&str, &str, &str); 24] = [
    ("paper", "#fbfbf8", "#14181c"),
    ("card", "#ffffff", "#1b2025"),
    ("ink", "#1b2127", "#e7eaed"),
    ("soft", "#56616c", "#a3aeb8"),
    ("line", "#dde1e4", "#30383f"),
    ("grid", "#eceeef", "#262d33"),
    ("accent", "#28598c", "#86b6e8"),
    ("accent-soft", "#cfdeec", "#27425e"),
    ("good", "#19703f", "#63c593"),
    ("good-soft", "#d9eee1", "#1a3a2c"),
    ("warn", "#8a5700", "#e3b05a"),
    ("warn-soft", "#f8ead0", "#40321a"),
    ("bad", "#ad2e27", "#f18d84"),
    ("bad-soft", "#f8dedb", "#472624"),
    ("limit", "#ad2e27", "#f18d84"),
    ("weights", "#b4bfc9", "#4a5762"),
    ("live", "#6f9cc8", "#4379ad"),
    ("scratch", "#d9a75c", "#a97a34"),
    ("series-0", "#28598c", "#86b6e8"),
    ("series-1", "#c98a2b", "#d9a75c"),
    ("series-2", "#3e8f73", "#63b899"),
    ("series-3", "#9a5a86", "#c98bb7"),
    ("series-4", "#7b8794", "#8d99a5"),
    ("series-5", "#bcc5cd", "#55616c"),
];

/// The style sheet with the colours in place.
pub(super) fn style_sheet() -> String {
    let light = variables(|(_, light, _)| light);
    let dark = variables(|(_, _, dark)| dark);
    let mut sheet = format!(":root{{color-scheme:light dark;{light}}}\n@media screen{{\n");
    // Without a choice the system decides; a choice wins over the system. Paper is always light.
    write!(
        sheet,
        "@media (prefers-color-scheme:dark){{:root{{{dark}}}:root:has(#theme-light:checked){{color-scheme:light;{light}}}}}\n\
         :root:has(#theme-light:checked){{color-scheme:light}}\n\
         :root:has(#theme-dark:checked){{color-scheme:dark;{dark}}}\n}}\n"
    )
    .expect("a string takes every write");
    sheet.push_str(include_str!("style.css"));
    sheet
}

fn variables(value: impl Fn((&'static str, &'static str, &'static str)) -> &'static str) -> String {
    let mut text = String::new();
    for colour in COLOURS {
        write!(text, "--{}:{};", colour.0, value(colour)).expect("a string takes every write");
    }
    text
}

/// Three radio buttons: as the system has it, light, dark.
pub(super) fn control() -> Markup {
    html! {
        fieldset.theme {
            legend.spoken { "Colours" }
            @for (id, name, checked) in [("auto", "Auto", true), ("light", "Light", false), ("dark", "Dark", false)] {
                input type="radio" name="theme" id={ "theme-" (id) } checked[checked];
                label for={ "theme-" (id) } { (name) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::COLOURS;

    /// Relative luminance as WCAG 2.2 defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = u8::from_str_radix(&colour[at..at + 2], 16).expect("two hexadecimal digits");
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(first: &str, second: &str) -> f64 {
        let (first, second) = (luminance(first), luminance(second));
        (first.max(second) + 0.05) / (first.min(second) + 0.05)
    }

    #[test]
    fn text_is_readable_in_both_themes() {
        let find = |name: &str| {
            COLOURS
                .iter()
                .find(|colour| colour.0 == name)
                .expect("a colour of this name")
        };
        for (text, ground) in [
            ("ink", "paper"),
            ("ink", "card"),
            ("soft", "paper"),
            ("soft", "card"),
            ("accent", "paper"),
            ("good", "card"),
            ("good", "good-soft"),
            ("warn", "warn-soft"),
            ("bad", "bad-soft"),
            ("ink", "good-soft"),
            ("ink", "warn-soft"),
            ("ink", "bad-soft"),
            ("ink", "accent-soft"),
            ("limit", "paper"),
        ] {
            let (text, ground) = (find(text), find(ground));
            for (shown, behind) in [(text.1, ground.1), (text.2, ground.2)] {
                // 4.5 is the least ratio that WCAG 2.2 AA allows for text.
                assert!(
                    contrast(shown, behind) >= 4.5,
                    "{} on {}: {:.2}",
                    text.0,
                    ground.0,
                    contrast(shown, behind)
                );
            }
        }
    }
}

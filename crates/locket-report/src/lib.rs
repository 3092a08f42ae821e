//! Plain data to HTML, SVG, Markdown and JSON.

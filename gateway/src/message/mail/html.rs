//! HTML into text that a person can read: no layout engine, and one pass.

use mail_parser::decoders::html::add_html_token;

/// The text of a document, `max` bytes at most.
pub(super) fn readable(html: &str, max: usize) -> String {
    let mut text = Text { out: String::new(), gap: false };
    let mut rest = html;
    while let Some(first) = rest.chars().next().filter(|_| text.out.len() < max) {
        rest = match first {
            '<' => match tag(rest) {
                Some(tag) => {
                    text.layout(&tag);
                    if tag.closing { tag.rest } else { skipped(tag.name, tag.rest) }
                }
                None => text.character('<', rest),
            },
            '&' => text.entity(rest),
            _ => text.character(first, rest),
        };
    }
    text.out.truncate(text.out.trim_end().len().min(text.out.floor_char_boundary(max)));
    text.out
}

struct Tag<'a> {
    /// Empty for comments and declarations.
    name: &'a str,
    closing: bool,
    rest: &'a str,
}

/// The tag that stands first; none when `<` is a character there. One that never ends takes all.
fn tag(html: &str) -> Option<Tag<'_>> {
    let inner = html.strip_prefix('<')?;
    if let Some(comment) = inner.strip_prefix("!--") {
        // `<!-->` is a whole comment.
        let rest = match comment.strip_prefix('>') {
            Some(rest) => rest,
            None => comment.split_once("-->").map_or("", |(_, rest)| rest),
        };
        return Some(Tag { name: "", closing: true, rest });
    }
    let (inner, closing) = inner.strip_prefix('/').map_or((inner, false), |inner| (inner, true));
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!' || c == '?') {
        return None;
    }
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
    let (name, attributes) = inner.split_at(end);
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in attributes.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '>') => {
                let rest = attributes.get(at + 1..).unwrap_or_default();
                return Some(Tag { name, closing, rest });
            }
            // A quote elsewhere is a character: title=it's
            (None, '"' | '\'') if before == '=' => quote = Some(c),
            (None, _) => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
    }
    Some(Tag { name, closing, rest: "" })
}

/// What follows behind the contents of a tag whose contents nobody sees.
fn skipped<'a>(name: &str, rest: &'a str) -> &'a str {
    let is_hidden = |hidden: &&&str| hidden.eq_ignore_ascii_case(name);
    let Some(hidden) = ["script", "style", "title", "template"].iter().find(is_hidden) else { return rest };
    let mut at = rest;
    while let Some((_, end)) = at.split_once("</") {
        if end.get(..hidden.len()).is_some_and(|name| name.eq_ignore_ascii_case(hidden)) {
            return end.split_once('>').map_or("", |(_, rest)| rest);
        }
        at = end;
    }
    ""
}

struct Text {
    out: String,
    gap: bool,
}

impl Text {
    fn layout(&mut self, tag: &Tag<'_>) {
        match tag.name.to_ascii_lowercase().as_str() {
            "br" | "div" | "tr" | "ul" | "ol" | "table" | "section" | "article" | "header" | "footer"
            | "hr" => {
                self.line();
            }
            "p" | "blockquote" | "pre" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.line();
                if !self.out.is_empty() && !self.out.ends_with("\n\n") {
                    self.out.push('\n');
                }
            }
            "li" if !tag.closing => {
                self.line();
                self.out.push_str("- ");
            }
            "td" | "th" => self.gap = true,
            _ => {}
        }
    }

    fn line(&mut self) {
        self.gap = false;
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn push(&mut self, c: char) {
        if c.is_whitespace() {
            self.gap = true;
            return;
        }
        if c.is_control() {
            return;
        }
        if std::mem::take(&mut self.gap) && !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
            self.out.push(' ');
        }
        self.out.push(c);
    }

    fn character<'a>(&mut self, c: char, rest: &'a str) -> &'a str {
        self.push(c);
        rest.get(c.len_utf8()..).unwrap_or_default()
    }

    /// `&amp;` and the like. What is none stays as it is.
    fn entity<'a>(&mut self, rest: &'a str) -> &'a str {
        let near = rest.get(..rest.floor_char_boundary(ENTITY_MAX)).unwrap_or(rest);
        let end = near.find(';').filter(|&end| {
            let name = near.get(1..end).unwrap_or_default();
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#')
        });
        let Some((token, after)) = end.and_then(|end| rest.split_at_checked(end + 1)) else {
            return self.character('&', rest);
        };
        let mut said = String::new();
        add_html_token(&mut said, token.as_bytes(), false);
        said.chars().for_each(|c| self.push(c));
        after
    }
}

/// Longest entity, in bytes.
const ENTITY_MAX: usize = 34;

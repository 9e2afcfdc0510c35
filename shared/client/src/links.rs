//! Where a message may lead: to the web, and nowhere else.

/// The address, if it is one of `http` or `https`. The server sees to that too; whoever follows links does
/// not rely on it.
pub fn safe(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(url)
}

/// A piece of a text: words, or a link in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Words(&'a str),
    Link(&'a str),
}

/// Finds the web links that stand in a text. What closes a sentence or a bracket around one is no part of it.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    const AFTER: &[char] = &[
        '.', ',', ';', ':', '!', '?', '\'', '"', ')', ']', '}', '。', '，', '；', '：', '！', '？', '）',
        '】', '》', '」',
    ];
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut words = 0;
    while let Some(at) = rest[words..].find("http").map(|at| at + words) {
        let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\\') || !c.is_ascii();
        let end = rest[at..].find(ends).map_or(rest.len(), |end| at + end);
        let link = rest[at..end].trim_end_matches(AFTER);
        if safe(link).is_some() && link.split_once("://").is_some_and(|(_, rest)| !rest.is_empty()) {
            if at > 0 {
                pieces.push(Piece::Words(&rest[..at]));
            }
            pieces.push(Piece::Link(link));
            rest = &rest[at + link.len()..];
            words = 0;
        } else {
            words = at + "http".len();
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Words(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_web_can_be_reached() {
        for good in ["https://a.example/x", "HTTP://a.example"] {
            assert_eq!(safe(good), Some(good));
        }
        for bad in
            ["javascript:alert(1)", "data:text/html,x", " https://a", "//a.example", "/x", "file:///etc", ""]
        {
            assert_eq!(safe(bad), None, "{bad}");
        }
    }

    #[test]
    fn links_in_a_text_are_found_without_what_closes_the_sentence() {
        use Piece::{Link, Words};
        assert_eq!(pieces("no link"), [Words("no link")]);
        assert_eq!(
            pieces("see https://a.example/x?y=1, (http://b.example)。再见"),
            [
                Words("see "),
                Link("https://a.example/x?y=1"),
                Words(", ("),
                Link("http://b.example"),
                Words(")。再见")
            ]
        );
        assert_eq!(pieces("https://a.example"), [Link("https://a.example")]);
        for text in ["http", "https://", "javascript:alert(1)//http", "httpx://a", "鸿http雁"] {
            assert_eq!(pieces(text), [Words(text)], "{text}");
        }
        assert_eq!(pieces(""), []);
    }
}

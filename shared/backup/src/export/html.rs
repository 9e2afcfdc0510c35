//! A page of messages that needs nothing else and does nothing: no script, no picture, no style from elsewhere.

use super::Language;
use super::words::Words;
use crate::about::About;
use hongyan_wire::Timestamp;
use hongyan_wire::limits::is_url;
use hongyan_wire::message::Message;
use std::fmt;
use std::io::{Result, Write};

/// Small enough for one look. Colours are the system's choice, light or dark.
const STYLE: &str = ":root{color-scheme:light dark;--ink:#1c262b;--faint:#5b6b73;--line:#d9e1e5;--ground:#f4f6f7;--card:#fff;--accent:#1f6f8b}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf0;--faint:#9db0b8;--line:#2c3b41;--ground:#10171a;--card:#172125;--accent:#7cc4dc}}\
body{margin:0 auto;max-width:46rem;padding:1rem;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
h2{margin:2rem 0 .5rem;font-size:1.1rem;color:var(--faint)}\
article{margin:0 0 .75rem;padding:.75rem 1rem;background:var(--card);border:1px solid var(--line);border-radius:10px}\
article.unread{border-left:4px solid var(--accent)}\
h3{margin:0;font-size:1rem}.about,.lead{margin:.1rem 0 0;color:var(--faint);font-size:.875rem}\
.content{margin:.5rem 0 0;white-space:pre-wrap}ul{margin:.25rem 0 0;padding-left:1.2rem}a{color:var(--accent)}";

/// A page that is being written: what comes after what is said of it.
pub struct Page<'a> {
    out: &'a mut dyn Write,
    words: &'static Words,
    /// The month of the last heading, as `2026-01`.
    month: Option<String>,
}

impl<'a> Page<'a> {
    /// Writes what stands above the messages. `name`: what the person is called; empty where only the id is known.
    pub fn begin(out: &'a mut dyn Write, language: Language, name: &str, about: &About) -> Result<Self> {
        let words = language.words();
        let who = match name {
            "" => about.user.clone(),
            name if name == about.user => name.to_owned(),
            name => format!("{name} ({})", about.user),
        };
        let title = (words.title)(&who);
        let lead = (words.lead)(&shown(Timestamp::from_millis(about.made_at)), about.messages);
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n",
            words.tag,
            Escaped(&lead),
            title = Escaped(&title),
        )?;
        if about.messages == 0 {
            writeln!(out, "<p>{}</p>", words.empty)?;
        }
        Ok(Self { out, words, month: None })
    }

    /// Writes one message, with the month as a heading where another begins.
    pub fn message(&mut self, message: &Message) -> Result<()> {
        let at = message.created_at.to_string();
        let (year, month) = (at.get(..4).unwrap_or_default(), at.get(5..7).unwrap_or_default());
        let key = format!("{year}-{month}");
        if self.month.as_ref() != Some(&key) {
            writeln!(self.out, "<h2>{}</h2>", (self.words.month)(year, month))?;
            self.month = Some(key);
        }
        let state = if message.is_read { self.words.read } else { self.words.unread };
        let class = if message.is_read { "read" } else { "unread" };
        write!(
            self.out,
            "<article class=\"{class}\" id=\"{}\">\n<h3>{}</h3>\n<p class=\"about\"><span class=\"sender\">{}</span> · ",
            Escaped(message.id.as_str()),
            Escaped(&message.title),
            Escaped(sender(message)),
        )?;
        if let Some(channel) = &message.channel_id {
            write!(self.out, "<span class=\"channel\">{}</span> · ", Escaped(channel.as_str()))?;
        }
        writeln!(
            self.out,
            "<time datetime=\"{at}\">{}</time> · <span class=\"state\">{state}</span></p>",
            shown(message.created_at)
        )?;
        if !message.content.is_empty() {
            writeln!(self.out, "<p class=\"content\">{}</p>", Lines(&message.content))?;
        }
        let attachments = message.attachments.iter().map(|one| (one.name.as_str(), one.url.as_str()));
        self.links(self.words.attachments, attachments)?;
        let actions = message.actions.iter().map(|one| (one.text.as_str(), one.url.as_str()));
        self.links(self.words.actions, actions)?;
        if let Some(pressed) = &message.pressed {
            let what = message.actions.iter().find(|one| one.action == pressed.action);
            let what = what.map_or(pressed.action.as_str(), |one| one.text.as_str());
            let line = (self.words.pressed)(what, &pressed.name);
            writeln!(self.out, "<p class=\"about\">{}</p>", Escaped(&line))?;
        }
        self.out.write_all(b"</article>\n")
    }

    /// Writes what closes the page.
    pub fn end(self) -> Result<()> {
        self.out.write_all(b"</body>\n</html>\n")
    }

    /// A list of names, each a link where it leads to the web. Anything else is shown as what it is: text.
    fn links<'b>(&mut self, label: &str, all: impl Iterator<Item = (&'b str, &'b str)>) -> Result<()> {
        let mut is_first = true;
        for (name, url) in all {
            if std::mem::take(&mut is_first) {
                writeln!(self.out, "<p class=\"about\">{label}</p>\n<ul>")?;
            }
            let name = Escaped(if name.is_empty() { url } else { name });
            match url {
                "" => writeln!(self.out, "<li>{name}</li>")?,
                url if is_url(url) => writeln!(
                    self.out,
                    "<li><a href=\"{}\" rel=\"noopener noreferrer\">{name}</a></li>",
                    Escaped(url)
                )?,
                url => writeln!(self.out, "<li>{name} ({})</li>", Escaped(url))?,
            }
        }
        if is_first { Ok(()) } else { self.out.write_all(b"</ul>\n") }
    }
}

/// Who sent it, for people.
fn sender(message: &Message) -> &str {
    [message.sender_info.name.as_str(), message.sender_info.id.as_str()]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or(&message.sender)
}

/// A moment for people, to the second.
fn shown(at: Timestamp) -> String {
    at.to_string().get(..19).unwrap_or_default().replace('T', " ")
}

/// Text that is only text, in an element and in an attribute within quotes (HTML, "Writing HTML documents").
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, false, f)
    }
}

/// The same, with an element for each line break.
struct Lines<'a>(&'a str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(self.0, true, f)
    }
}

fn escape(text: &str, breaks: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut from = 0;
    for (at, c) in text.char_indices() {
        let put = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\n' if breaks => "<br>",
            '\r' if breaks => "",
            '\n' | '\t' => continue,
            // What is in no document (HTML, "control-character-in-input-stream"), and what turns the direction of all that
            // follows (Unicode Standard Annex 9, section 2.1).
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                "\u{fffd}"
            }
            _ => continue,
        };
        f.write_str(&text[from..at])?;
        f.write_str(put)?;
        from = at + c.len_utf8();
    }
    f.write_str(&text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::about::Kind;

    fn page(name: &str, language: Language, messages: &[serde_json::Value]) -> String {
        let about = About {
            kind: Kind::Full,
            user: "ann".into(),
            epoch: 1,
            pos: 1,
            version: 1,
            from_pos: 0,
            from_version: 0,
            made_at: 1_768_473_000_000,
            messages: messages.len() as u64,
            states: 0,
        };
        let mut out = Vec::new();
        let mut page = Page::begin(&mut out, language, name, &about).unwrap();
        for message in messages {
            page.message(&serde_json::from_value(message.clone()).unwrap()).unwrap();
        }
        page.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn message(change: serde_json::Value) -> serde_json::Value {
        let mut message = serde_json::json!({
            "id": "msg-1", "pos": 1, "channel_id": null, "title": "t", "content": "c", "message_type": "text",
            "priority": 5, "sender": "x", "sender_info": { "id": "x", "type": "service", "name": "X", "avatar": "" },
            "created_at": "2026-01-15T10:30:00.123Z", "expire_at": null, "metadata": {}, "attachments": [],
            "actions": [], "is_read": false, "read_at": null, "version": 0,
        });
        for (name, value) in change.as_object().unwrap() {
            message[name] = value.clone();
        }
        message
    }

    #[test]
    fn whatever_a_message_says_is_text() {
        let hostile = "<script>alert(\"1\")</script>' onload='x' & \u{0}\u{1b}\u{202e}🌸\r\nnext\ttab";
        let attachment = |url: &str| serde_json::json!({ "type": "file", "name": "<b>n</b>", "url": url, "size": 1, "mime_type": "", "thumbnail": "" });
        let text = page(
            hostile,
            Language::En,
            &[message(serde_json::json!({
                "title": hostile, "content": hostile,
                "sender_info": { "id": "x", "type": "service", "name": hostile, "avatar": "javascript:alert(1)" },
                "attachments": [attachment("javascript:alert(1)"), attachment("https://a.example/?a=1&b=2"),
                    attachment("data:text/html,<script>1</script>"), attachment("https://a\" onclick=\"x")],
                "actions": [{ "type": "link", "text": hostile, "url": "vbscript:x" }, { "type": "button", "text": "Go", "action": "go" }],
                "pressed": { "action": "go", "by": "ann", "name": hostile, "at": "2026-01-15T10:30:00Z" },
            }))],
        );
        assert!(!text.contains("<script") && !text.contains("onload='"), "{text}");
        assert!(!text.contains("<b>") && !text.contains(['\u{0}', '\u{1b}', '\u{202e}', '\r']), "{text}");
        assert!(
            text.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39; onload=&#39;x&#39; &amp; ")
        );
        assert!(text.contains("🌸<br>next\ttab"));
        // One leads to the web; the others are shown.
        let links: Vec<&str> =
            text.split("<a ").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
        assert_eq!(links, ["href=\"https://a.example/?a=1&amp;b=2\" rel=\"noopener noreferrer\""]);
        assert!(text.contains("(javascript:alert(1))") && text.contains("(data:text/html,&lt;script&gt;"));
        assert!(text.contains("(https://a&quot; onclick=&quot;x)"));
        assert_eq!(text.matches('<').count(), text.matches('>').count());
    }

    #[test]
    fn it_says_whose_it_is_and_puts_months_between() {
        let months =
            ["2026-02-01T00:00:00Z", "2026-01-31T23:59:59Z", "2026-01-01T00:00:00Z", "2025-12-31T10:00:00Z"];
        let messages: Vec<_> = months
            .iter()
            .map(|at| {
                message(serde_json::json!({ "created_at": at, "is_read": *at > "2026", "channel_id": "ops" }))
            })
            .collect();
        let text = page("Ann", Language::En, &messages);
        let between = |text: &str, from: &str, to: &str| -> Vec<String> {
            text.split(from).skip(1).map(|rest| rest.split(to).next().unwrap().to_owned()).collect()
        };
        assert_eq!(between(&text, "<h1>", "</h1>"), ["Messages of Ann (ann)"]);
        assert_eq!(
            between(&text, "<p class=\"lead\">", "</p>"),
            ["4 messages, as of 2026-01-15 10:30:00 UTC"]
        );
        assert_eq!(between(&text, "<h2>", "</h2>"), ["February 2026", "January 2026", "December 2025"]);
        assert_eq!(between(&text, "<span class=\"state\">", "</span>"), ["read", "read", "read", "unread"]);
        assert_eq!(between(&text, "<span class=\"channel\">", "</span>").len(), 4);
        assert!(text.contains("<time datetime=\"2025-12-31T10:00:00.000Z\">2025-12-31 10:00:00</time>"));
        assert!(text.contains("<html lang=\"en\">") && text.contains("<meta charset=\"utf-8\">"));
        assert!(text.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
        let text = page("", Language::Zh, &messages[3..]);
        assert_eq!(between(&text, "<h1>", "</h1>"), ["ann 的消息"]);
        assert_eq!(between(&text, "<h2>", "</h2>"), ["2025 年 12 月"]);
        assert_eq!(between(&text, "<span class=\"state\">", "</span>"), ["未读"]);
        assert!(page("", Language::Zh, &[]).contains("没有消息。"));
    }
}

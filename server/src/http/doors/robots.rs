//! The robots of DingTalk and WeCom group chats: their webhooks, below `/dingtalk` and `/wecom`.

use super::incoming::Taken;
use super::{Loose, Note, Sent, own_words, with_patience};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use axum::extract::State;
use axum::response::Response;
use hongyan_wire::error::ErrorType;
use hongyan_wire::message::AttachmentType;
use serde_json::json;

/// Take what a DingTalk robot takes: `text`, `markdown`, `link`, `actionCard`, `feedCard`.
///
/// The service's key is the `access_token`; a signature beside it is not needed. Who gets it: `?to=`, else the service's
/// default recipients.
#[utoipa::path(
    post, path = "/dingtalk/robot/send", tag = "doors",
    params(
        ("access_token" = String, Query, description = "The service's key"),
        ("to" = Option<String>, Query, description = "User ids, usernames, role or channel ids, with commas"),
    ),
    responses((status = 200, description = "`errcode` 0, or DingTalk's code of what is wrong")),
)]
pub async fn dingtalk(State(gateway): State<UserGateway>, taken: Taken) -> Response {
    let codes = Codes { key: 300_005, rate: 130_101, kind: 400_602, input: 40_035, later: -1 };
    codes.answer(send(&gateway, taken, dingtalk_note).await)
}

/// Take what a WeCom robot takes: `text`, `markdown`, `news`, `template_card`.
///
/// The service's key is the `key`. Who gets it: `?to=`, else the service's default recipients.
#[utoipa::path(
    post, path = "/wecom/cgi-bin/webhook/send", tag = "doors",
    params(
        ("key" = String, Query, description = "The service's key"),
        ("to" = Option<String>, Query, description = "User ids, usernames, role or channel ids, with commas"),
    ),
    responses((status = 200, description = "`errcode` 0, or WeCom's code of what is wrong")),
)]
pub async fn wecom(State(gateway): State<UserGateway>, taken: Taken) -> Response {
    let codes = Codes { key: 93_000, rate: 45_009, kind: 40_008, input: 40_058, later: -1 };
    codes.answer(send(&gateway, taken, wecom_note).await)
}

/// Gives what was dropped.
async fn send(
    gateway: &UserGateway,
    taken: Taken,
    read: fn(Loose<'_>) -> Result<Note>,
) -> Result<Vec<String>> {
    let mut incoming = taken?;
    let body = incoming.json()?;
    let note = read(Loose(&body))?;
    if note.text.trim().is_empty() && note.title.trim().is_empty() {
        return Err(Error::field("text", "is empty"));
    }
    Ok(gateway.note(incoming, note).await?.dropped)
}

/// What each system calls what can go wrong.
struct Codes {
    key: i32,
    rate: i32,
    kind: i32,
    input: i32,
    /// "The system is busy."
    later: i32,
}

impl Codes {
    /// Both answer 200 whatever happens, with a code of their own inside.
    fn answer(&self, sent: Result<Vec<String>>) -> Response {
        let error = match sent {
            Ok(dropped) => {
                return Sent::naming(&dropped, own_words(200, &json!({ "errcode": 0, "errmsg": "ok" })));
            }
            Err(error) => error,
        };
        let field = error.details.first().map(|fault| fault.field.as_str()).unwrap_or_default();
        let code = match error.error_type {
            ErrorType::Unauthenticated | ErrorType::PermissionDenied => self.key,
            ErrorType::RateLimited => self.rate,
            ErrorType::Overloaded | ErrorType::StorageUnavailable | ErrorType::Internal => self.later,
            _ if field == "msgtype" => self.kind,
            _ => self.input,
        };
        with_patience(own_words(200, &json!({ "errcode": code, "errmsg": error.message })), &error)
    }
}

fn unknown(kind: &str, known: &str) -> Error {
    Error::field("msgtype", format!("`{kind}` is not taken here; known are {known}"))
}

fn dingtalk_note(body: Loose<'_>) -> Result<Note> {
    let kind = body.get("msgtype").text();
    let inner = body.get(&kind);
    let mut note =
        Note { title: inner.get("title").text(), text: inner.get("text").text(), ..Note::default() };
    match kind.as_str() {
        "text" => note.text = inner.get("content").text(),
        "markdown" => {
            note.metadata.insert("content_type".into(), "text/markdown".into());
        }
        "link" => {
            note.link("Open", &inner.get("messageUrl").text());
            note.picture(AttachmentType::Image, "picture", &inner.get("picUrl").text());
        }
        "actionCard" => {
            note.metadata.insert("content_type".into(), "text/markdown".into());
            note.link(&inner.get("singleTitle").text(), &inner.get("singleURL").text());
            for button in inner.get("btns").items() {
                note.link(&button.get("title").text(), &button.get("actionURL").text());
            }
        }
        "feedCard" => {
            for link in inner.get("links").items() {
                article(&mut note, link, "messageURL", "picURL");
            }
        }
        other => return Err(unknown(other, "text, markdown, link, actionCard, feedCard")),
    }
    Ok(note)
}

fn wecom_note(body: Loose<'_>) -> Result<Note> {
    let kind = body.get("msgtype").text();
    let inner = body.get(&kind);
    let mut note = Note::default();
    match kind.as_str() {
        "text" => note.text = inner.get("content").text(),
        "markdown" | "markdown_v2" => {
            note.text = inner.get("content").text();
            note.metadata.insert("content_type".into(), "text/markdown".into());
        }
        "news" => {
            for item in inner.get("articles").items() {
                article(&mut note, item, "url", "picurl");
            }
        }
        "template_card" => {
            let main = inner.get("main_title");
            note.title = main.get("title").text();
            let mut lines = vec![main.get("desc").text(), inner.get("sub_title_text").text()];
            let emphasis = inner.get("emphasis_content");
            lines.push(format!("{} {}", emphasis.get("title").text(), emphasis.get("desc").text()));
            for item in inner.get("horizontal_content_list").items() {
                lines.push(format!("{}: {}", item.get("keyname").text(), item.get("value").text()));
                note.link(&item.get("keyname").text(), &item.get("url").text());
            }
            lines.retain(|line| !line.trim().is_empty());
            note.text = lines.join("\n");
            for jump in inner.get("jump_list").items() {
                note.link(&jump.get("title").text(), &jump.get("url").text());
            }
            note.link("Open", &inner.get("card_action").get("url").text());
            note.picture(AttachmentType::Image, "picture", &inner.get("card_image").get("url").text());
        }
        other => return Err(unknown(other, "text, markdown, markdown_v2, news, template_card")),
    }
    Ok(note)
}

/// One of several: a title, a link, a picture.
fn article(note: &mut Note, item: Loose<'_>, url: &str, picture: &str) {
    let title = item.get("title").text();
    note.link(&title, &item.get(url).text());
    note.picture(AttachmentType::Image, &title, &item.get(picture).text());
    if note.title.is_empty() {
        note.title = title;
    } else {
        note.text.push_str(&title);
        note.text.push('\n');
    }
    if let Some(description) = item.get("description").some() {
        note.text.push_str(&description);
        note.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_become_titles_texts_and_links() {
        let card = json!({"msgtype": "actionCard", "actionCard": {
            "title": "Release", "text": "# 1.2", "btns": [{"title": "Yes", "actionURL": "https://a.example/y"}],
        }});
        let note = dingtalk_note(Loose(&card)).unwrap();
        assert_eq!((note.title.as_str(), note.text.as_str()), ("Release", "# 1.2"));
        assert_eq!(note.links[0].text, "Yes");
        let news = json!({"msgtype": "news", "news": {"articles": [
            {"title": "A", "description": "a", "url": "https://a.example/a"}, {"title": "B", "url": "javascript:x"},
        ]}});
        let note = wecom_note(Loose(&news)).unwrap();
        assert_eq!((note.title.as_str(), note.text.as_str(), note.links.len()), ("A", "a\nB\n", 1));
        assert!(wecom_note(Loose(&json!({"msgtype": "voice"}))).is_err());
    }
}

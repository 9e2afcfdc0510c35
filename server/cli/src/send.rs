//! `hongyan send`: from words and a pipe to a request.

use crate::gateway::{Failure, Gateway};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use hongyan_wire::limits::{MESSAGE_BYTES_MAX, TITLE_MAX};
use hongyan_wire::message::{
    ActionInfo, ActionStyle, ActionType, RecipientType, SendAnswer, SendMessageRequest,
};
use hongyan_wire::{ChannelId, MessageId, TemplateId, Timestamp};
use serde_json::{Map, Value};
use std::io::{IsTerminal, Read};

/// How `--to` is to be understood.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    User,
    Channel,
    Role,
    Department,
    All,
}

impl From<Kind> for RecipientType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::User,
            Kind::Channel => Self::Channel,
            Kind::Role => Self::Role,
            Kind::Department => Self::Department,
            Kind::All => Self::All,
        }
    }
}

#[derive(Args)]
pub struct Send {
    /// The text; read from standard input when left out and something is piped in.
    text: Option<String>,
    /// Who gets it: user ids, usernames, roles, channels; more than one with commas or given again.
    #[arg(long, value_delimiter = ',')]
    to: Vec<String>,
    /// What all of `--to` are; looked up in that order when left out: user, role, channel.
    #[arg(long)]
    to_type: Option<Kind>,
    /// The first line of the text when left out.
    #[arg(long)]
    title: Option<String>,
    /// The channel under which it is shown.
    #[arg(long)]
    channel: Option<ChannelId>,
    /// A word such as `alert`.
    #[arg(long = "type")]
    message_type: Option<String>,
    /// 1 (lowest) to 10.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=10))]
    priority: Option<u8>,
    /// A template, with its values.
    #[arg(long)]
    template: Option<TemplateId>,
    /// A value for the template, as NAME=VALUE; may be given more than once.
    #[arg(long = "var", value_parser = pair, requires = "template")]
    variables: Vec<(String, String)>,
    /// A link below the text, as TEXT=URL; may be given more than once.
    #[arg(long = "link", value_parser = pair)]
    links: Vec<(String, String)>,
    /// When to send it, as 2026-01-15T10:30:00Z.
    #[arg(long, value_parser = moment)]
    at: Option<Timestamp>,
    /// After when nobody sees it any more.
    #[arg(long, value_parser = moment)]
    expire: Option<Timestamp>,
    /// What it is about: the message sent last under the same name is replaced.
    #[arg(long)]
    thread: Option<String>,
    /// A message that it takes the place of.
    #[arg(long)]
    replaces: Option<MessageId>,
    /// Sent at most once under the same key within a day; made when left out, so that tries of this command count once.
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl Send {
    pub async fn perform(self, gateway: &Gateway, json: bool) -> Result<(), Failure> {
        let key = self.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let request = self.request().map_err(Failure::Usage)?;
        let (answer, text) =
            gateway.post::<SendAnswer>("/api/v3/messages/send", &request, Some(&key)).await?;
        for unknown in &answer.unknown_recipients {
            eprintln!("hongyan: {unknown} is nobody here");
        }
        match json {
            true => println!("{text}"),
            false => println!("{}", answer.message_id),
        }
        Ok(())
    }

    fn request(self) -> Result<SendMessageRequest> {
        let text = match self.text {
            Some(text) => text,
            None => piped()?,
        };
        let (title, content) = match self.title {
            Some(title) => (Some(title), Some(text).filter(|text| !text.is_empty())),
            None if self.template.is_some() => (None, Some(text).filter(|text| !text.is_empty())),
            None => first_line(&text)?,
        };
        let link = |(text, url)| ActionInfo {
            action_type: ActionType::Link,
            text,
            url,
            action: String::new(),
            style: ActionStyle::default(),
        };
        let variables: Map<String, Value> =
            self.variables.into_iter().map(|(name, value)| (name, value.into())).collect();
        Ok(SendMessageRequest {
            channel_id: self.channel,
            title,
            content,
            message_type: self.message_type,
            recipients: self.to.into_iter().map(Into::into).collect(),
            recipient_type: self.to_type.map(Into::into),
            priority: self.priority,
            scheduled_at: self.at,
            expire_at: self.expire,
            actions: self.links.into_iter().map(link).collect(),
            template_id: self.template,
            variables: (!variables.is_empty()).then_some(variables),
            replaces: self.replaces,
            thread_key: self.thread,
            ..SendMessageRequest::default()
        })
    }
}

/// What is piped in, without the line break at its end.
fn piped() -> Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    stdin.lock().take(MESSAGE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).context("standard input")?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        bail!("standard input: more than {MESSAGE_BYTES_MAX} bytes");
    }
    let text = String::from_utf8(bytes).context("standard input: must be UTF-8")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The first line as the title, what follows as the content.
fn first_line(text: &str) -> Result<(Option<String>, Option<String>)> {
    let (first, rest) = text.trim_start().split_once('\n').unwrap_or((text.trim(), ""));
    let first = first.trim();
    if first.is_empty() {
        bail!("nothing to send: give --title, a text, or pipe one in");
    }
    if first.chars().count() > TITLE_MAX {
        let title: String = first.chars().take(TITLE_MAX - 1).chain(['…']).collect();
        return Ok((Some(title), Some(text.to_owned())));
    }
    Ok((Some(first.to_owned()), Some(rest.to_owned()).filter(|rest| !rest.trim().is_empty())))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "must be a time such as 2026-01-15T10:30:00Z".into())
}

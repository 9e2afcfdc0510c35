//! What people are told when a way into their account has changed: whoever did not do it learns of it at once, and it is
//! written together with the change itself. In both languages, as a message goes to devices of any.

use crate::error::{Error, Result};
use crate::log::record::{Audience, Posted, Record};
use hongyan_wire::limits::ACCOUNT_SECURITY;
use hongyan_wire::message::{AnswerMode, Message, SenderInfo, SenderType};
use hongyan_wire::{MessageId, UserId};
use serde_json::{Map, json};

/// Whose credentials sent it: the server's own.
const SYSTEM: &str = "system";
const PRIORITY: u8 = 7;

/// A change of the ways into an account.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    PasswordSet,
    /// At this provider.
    Linked(&'a str),
    Unlinked(&'a str),
    /// By this name.
    PasskeyAdded(&'a str),
    PasskeyDeleted,
    AuthenticatorOn,
    AuthenticatorOff,
    /// An administrator took authenticator and passkeys away.
    FactorsReset,
    /// By this name.
    TokenMade(&'a str),
}

impl Notice<'_> {
    /// As `metadata.event` of the message has it.
    const fn event(self) -> &'static str {
        match self {
            Self::PasswordSet => "password_set",
            Self::Linked(_) => "identity_linked",
            Self::Unlinked(_) => "identity_unlinked",
            Self::PasskeyAdded(_) => "passkey_added",
            Self::PasskeyDeleted => "passkey_deleted",
            Self::AuthenticatorOn => "authenticator_on",
            Self::AuthenticatorOff => "authenticator_off",
            Self::FactorsReset => "second_factors_reset",
            Self::TokenMade(_) => "token_made",
        }
    }

    /// What happened, in Chinese and in English.
    fn sentences(self) -> (String, String) {
        let plain = |zh: &str, en: &str| (zh.to_owned(), en.to_owned());
        match self {
            Self::PasswordSet => plain("已设置新密码。", "A new password was set."),
            Self::Linked(provider) => (
                format!("已关联 {provider} 帐号，可用它登录。"),
                format!("An account at {provider} was linked; it can sign in."),
            ),
            Self::Unlinked(provider) => {
                (format!("已取消关联 {provider} 帐号。"), format!("The account at {provider} was unlinked."))
            }
            Self::PasskeyAdded(name) => {
                (format!("已添加通行密钥“{name}”。"), format!("The passkey “{name}” was added."))
            }
            Self::PasskeyDeleted => plain("已删除一个通行密钥。", "A passkey was deleted."),
            Self::AuthenticatorOn => plain("已开启验证器。", "The authenticator was turned on."),
            Self::AuthenticatorOff => plain("已关闭验证器。", "The authenticator was turned off."),
            Self::FactorsReset => plain(
                "管理员已移除你的验证器和通行密钥。",
                "An administrator removed your authenticator and passkeys.",
            ),
            Self::TokenMade(name) => {
                (format!("已创建个人令牌“{name}”。"), format!("The personal token “{name}” was made."))
            }
        }
    }

    /// The message to the person, as it goes into the log beside the change.
    ///
    /// # Errors
    /// Only when there is no randomness for its id.
    pub fn to(self, user: &UserId) -> Result<Record> {
        let id = MessageId::new(&format!("msg-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?;
        let (zh, en) = self.sentences();
        let metadata = Map::from_iter([("event".to_owned(), json!(self.event()))]);
        let sender_info = SenderInfo {
            id: SYSTEM.into(),
            sender_type: SenderType::System,
            name: "鸿雁 Hongyan".into(),
            ..SenderInfo::default()
        };
        let message = Message {
            id,
            pos: 0,
            channel_id: None,
            title: "登录方式有变化 · Your sign-in has changed".into(),
            content: format!(
                "{zh}\n{en}\n\n如果不是你本人操作，请立即修改密码并退出其他设备。\n\
                 If this was not you, change your password and sign out your other devices now."
            ),
            message_type: ACCOUNT_SECURITY.into(),
            priority: PRIORITY,
            sender: sender_info.id.clone(),
            sender_info,
            created_at: crate::clock::now(),
            expire_at: None,
            metadata,
            attachments: Vec::new(),
            actions: Vec::new(),
            is_read: false,
            read_at: None,
            version: 0,
            replaces: None,
            thread_key: None,
            pressed: None,
        };
        Ok(Record::Message(Box::new(Posted {
            message,
            audience: Audience { users: vec![user.clone()], ..Audience::default() },
            recipients: 1,
            sent_by: SYSTEM.into(),
            template: None,
            answer: AnswerMode::default(),
            was_scheduled: false,
        })))
    }
}

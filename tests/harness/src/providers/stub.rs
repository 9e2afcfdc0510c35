//! What the providers remember: who is canned, what was handed out, what is to fail, what was called.

use super::answer::Answer;
use super::call::Call;
use super::fault::Fault;
use super::grant::{Code, Grant, Refusal};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What comes back instead of the `state` that was given.
const OTHER_STATE: &str = "00000000000000000000000000000000";
/// How long tokens are where a provider says nothing about it.
pub(super) const TOKEN_LENGTH: usize = 64;

pub(super) struct Stub {
    pub(super) base: String,
    /// Whether Google signs with its second key.
    pub(super) rotated: AtomicBool,
    memory: Mutex<Memory>,
}

#[derive(Default)]
pub(super) struct Memory {
    pub(super) calls: Vec<Call>,
    pub(super) faults: HashMap<&'static str, VecDeque<Fault>>,
    pub(super) people: BTreeMap<&'static str, Value>,
    pub(super) secrets: Vec<String>,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, Token>,
}

/// A token that was handed out.
#[derive(Clone)]
pub(super) struct Token {
    kind: &'static str,
    /// What it is for.
    pub(super) scope: String,
    ends: Instant,
}

/// How an authorize page sends the browser back.
pub(super) struct Back<'a> {
    pub(super) provider: &'static str,
    /// What the parameter with the code is called.
    pub(super) code_name: &'a str,
    pub(super) code: String,
    pub(super) life: Duration,
    /// What is said when the person refuses.
    pub(super) denied: &'a [(&'a str, &'a str)],
    /// What is said in any case.
    pub(super) also: &'a [(&'a str, String)],
}

impl Stub {
    pub(super) fn new(base: String, people: Vec<(&'static str, Value)>, secrets: Vec<String>) -> Self {
        let memory = Memory { people: people.into_iter().collect(), secrets, ..Memory::default() };
        Self { base, rotated: AtomicBool::new(false), memory: Mutex::new(memory) }
    }

    pub(super) fn url(&self, prefix: &str) -> String {
        format!("{}/{prefix}", self.base)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    pub(super) fn next_fault(&self, step: &str) -> Option<Fault> {
        self.memory().faults.get_mut(step)?.pop_front()
    }

    /// What is canned under this name.
    #[track_caller]
    pub(super) fn person(&self, name: &str) -> Value {
        self.memory().people.get(name).unwrap_or_else(|| panic!("nobody is canned as {name}")).clone()
    }

    /// Remembers something that nobody else may see.
    pub(super) fn secret(&self, secret: &str) {
        self.memory().hand_out(secret);
    }

    /// Sends the browser back with a code, or with what the fault makes of it.
    pub(super) fn send_back(
        &self,
        call: &Call,
        fault: Option<&Fault>,
        grant: Grant,
        back: Back<'_>,
    ) -> Answer {
        let mut url = reqwest::Url::parse(&grant.redirect_uri).unwrap();
        let mut query = url.query_pairs_mut();
        match fault {
            Some(Fault::Deny) => {
                query.extend_pairs(back.denied);
            }
            Some(Fault::NoCode) => {}
            Some(Fault::Named(error)) => {
                query.append_pair("error", error);
            }
            _ => {
                query.append_pair(back.code_name, &back.code);
                let code = Code::new(back.provider, grant, back.life);
                let mut memory = self.memory();
                memory.hand_out(&back.code);
                memory.codes.insert(back.code, code);
            }
        }
        match (call.asked("state"), fault) {
            (Some(_), Some(Fault::BadState)) => {
                query.append_pair("state", OTHER_STATE);
            }
            (Some(state), _) => {
                query.append_pair("state", state);
            }
            (None, _) => {}
        }
        query.extend_pairs(back.also);
        drop(query);
        Answer::redirect(url.as_str())
    }

    /// Spends a code. Once it was shown it is worth nothing, whatever comes of it.
    pub(super) fn redeem(&self, provider: &str, code: &str, fault: Option<&Fault>) -> Result<Grant, Refusal> {
        let mut memory = self.memory();
        let known = memory.codes.get_mut(code).filter(|code| code.provider == provider);
        let Some(known) = known else { return Err(Refusal::Unknown) };
        let used = std::mem::replace(&mut known.used, true);
        match fault {
            Some(Fault::CodeUsed) => Err(Refusal::Used),
            Some(Fault::CodeExpired) => Err(Refusal::Expired),
            Some(Fault::TokenError) => Err(Refusal::Unknown),
            _ if used => Err(Refusal::Used),
            _ if known.ends <= Instant::now() => Err(Refusal::Expired),
            _ => Ok(known.grant.clone()),
        }
    }

    /// Hands out a token of this kind.
    pub(super) fn new_token(&self, kind: &'static str, scope: &str, life: Duration) -> String {
        self.memory().new_token(kind, scope, life, TOKEN_LENGTH)
    }

    /// The token that an application has within its life, however often it asks.
    pub(super) fn application_token(&self, kind: &'static str, life: Duration, length: usize) -> String {
        let mut memory = self.memory();
        let living = memory.living(kind);
        living.unwrap_or_else(|| memory.new_token(kind, "", life, length))
    }

    /// A token of this kind that is known and alive.
    pub(super) fn token(&self, kind: &str, token: &str) -> Option<Token> {
        let memory = self.memory();
        memory.tokens.get(token).filter(|known| known.kind == kind && known.ends > Instant::now()).cloned()
    }

    /// Ends one token; false when there was none.
    pub(super) fn end_token(&self, token: &str) -> bool {
        self.memory().tokens.remove(token).is_some()
    }

    /// Ends all tokens of a kind.
    pub(super) fn end_tokens(&self, kind: &str) {
        self.memory().tokens.retain(|_, token| token.kind != kind);
    }
}

impl Memory {
    /// Kept as it is and as it looks in a query.
    fn hand_out(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        if encoded != secret {
            self.secrets.push(encoded);
        }
    }

    fn new_token(&mut self, kind: &'static str, scope: &str, life: Duration, length: usize) -> String {
        let token = random(&format!("canary-{kind}-"), length);
        self.hand_out(&token);
        self.tokens
            .insert(token.clone(), Token { kind, scope: scope.to_owned(), ends: Instant::now() + life });
        token
    }

    fn living(&self, kind: &str) -> Option<String> {
        let now = Instant::now();
        let mut living = self.tokens.iter().filter(|(_, token)| token.kind == kind && token.ends > now);
        living.next().map(|(token, _)| token.clone())
    }
}

/// Something that cannot be guessed: a start by which it is found again, filled up to this length.
pub(super) fn random(start: &str, length: usize) -> String {
    let mut bytes = vec![0; length.div_ceil(2)];
    getrandom::fill(&mut bytes).unwrap();
    let mut text = start.to_owned();
    text.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
    text.truncate(length);
    text
}

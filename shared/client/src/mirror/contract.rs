//! What every mirror must do, as checks that run on any of them. For tests.

use super::{Kept, Mirror, Write};
use crate::engine::counts::Counts;
use crate::engine::pending::Wish;
use hongyan_wire::message::Message;
use hongyan_wire::{Cursor, MessageId, Timestamp};
use std::fmt::Debug;
use std::sync::Arc;

/// Checks an empty mirror. `reopen` ends it and opens it again: what was kept must still be there.
pub fn check<M>(mut mirror: M, reopen: impl Fn(M) -> M)
where
    M: Mirror,
    M::Error: Debug,
{
    assert_eq!(load(&mut mirror), None, "nothing was ever kept");

    let cursor = |pos| Some(Cursor { epoch: 3, pos, version: 1 });
    let place =
        |pos| Write::Place { cursor: cursor(pos), floor: 1, has_older: true, counts: Counts::default() };
    let wish = Wish::ReadAll { channel: None, until_pos: 2 };
    write(&mut mirror, &[put(1, false), put(2, false), place(2), Write::Wishes(vec![wish.clone()])]);
    mirror = reopen(mirror);
    let expected = Kept {
        messages: vec![message(1, false), message(2, false)],
        cursor: cursor(2),
        floor: 1,
        has_older: true,
        counts: Counts::default(),
        wishes: vec![wish.clone()],
    };
    assert_eq!(load(&mut mirror).as_ref(), Some(&expected));

    // The same again changes nothing; a message that is put again takes the place of its older self.
    write(&mut mirror, &[put(2, false), place(2)]);
    assert_eq!(load(&mut mirror).as_ref(), Some(&expected));
    write(&mut mirror, &[put(1, true), Write::Remove(message(2, false).id), put(3, false), place(3)]);
    mirror = reopen(mirror);
    let kept = load(&mut mirror).unwrap_or_default();
    assert_eq!(kept.messages, [message(1, true), message(3, false)]);
    assert_eq!(kept.cursor, cursor(3));

    // To start over is not to give up what the reader has done.
    write(&mut mirror, &[Write::Clear, put(4, false)]);
    mirror = reopen(mirror);
    let kept = load(&mut mirror).unwrap_or_default();
    assert_eq!(kept.messages, [message(4, false)]);
    assert_eq!((kept.cursor, kept.wishes), (None, vec![wish]));

    write(&mut mirror, &[Write::Erase]);
    mirror = reopen(mirror);
    assert_eq!(load(&mut mirror), None, "nothing is left of whoever was signed in");
}

fn write<M: Mirror>(mirror: &mut M, writes: &[Write])
where
    M::Error: Debug,
{
    let result = mirror.write(writes);
    assert!(result.is_ok(), "{result:?}");
}

fn load<M: Mirror>(mirror: &mut M) -> Option<Kept>
where
    M::Error: Debug,
{
    let result = mirror.load();
    assert!(result.is_ok(), "{:?}", result.as_ref().err());
    let mut kept = result.ok().flatten()?;
    kept.messages.sort_by_key(|message| message.pos);
    Some(kept)
}

fn put(number: u64, is_read: bool) -> Write {
    Write::Put(Arc::new(message(number, is_read)))
}

fn message(number: u64, is_read: bool) -> Message {
    let Ok(id) = MessageId::new(&format!("msg-{number}")) else {
        unreachable!("an id of letters and digits")
    };
    Message {
        id,
        pos: number,
        channel_id: None,
        title: format!("title {number}"),
        content: "一\n二".into(),
        message_type: "text".into(),
        priority: 5,
        sender: "service".into(),
        sender_info: Default::default(),
        created_at: Timestamp::from_millis(1_800_000_000_000),
        expire_at: None,
        metadata: Default::default(),
        attachments: Vec::new(),
        actions: Vec::new(),
        is_read,
        read_at: is_read.then_some(Timestamp::from_millis(1_800_000_000_001)),
        version: u64::from(is_read),
        replaces: None,
        thread_key: None,
        pressed: None,
    }
}

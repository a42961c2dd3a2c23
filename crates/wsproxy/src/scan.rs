//! Pure: reads the bytes of one sender, checks every header, and sorts them: data frames stay where
//! they are to be written as they came, control frames are taken out, fragments of a client's
//! message are collected.

use crate::close::CloseFrame;
use crate::found::{Counts, Event, Scan};
use crate::frame::{self, Header, Opcode, Sender};
use crate::join::Join;
use crate::limits::Limits;
use crate::rule::Rule;
use state::{Begin, Body, Fate, Message};

mod state;
mod unseen;

#[derive(Debug)]
pub(crate) struct Scanner {
    sender: Sender,
    whole_frame_max: u64,
    /// `None`: fragments are never joined.
    join_max: Option<u64>,
    max_message: u64,
    body: Body,
    message: Message,
    /// Payload bytes that the headers of the message announced so far.
    announced: u64,
    fate: Fate,
    counts: Counts,
}

impl Scanner {
    pub(crate) fn new(sender: Sender, limits: &Limits) -> Self {
        let (max_message, join_max) = match sender {
            Sender::Client => (limits.max_client_message, Some(limits.join_max)),
            Sender::Browser => (limits.max_browser_message, None),
        };
        Self {
            sender,
            whole_frame_max: limits.whole_frame_max as u64,
            join_max,
            max_message,
            body: Body::None,
            message: Message::None,
            announced: 0,
            fate: Fate::Pass,
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Payload bytes that are collected.
    pub(crate) fn held(&self) -> usize {
        match &self.message {
            Message::None | Message::Passing => 0,
            Message::Collecting(join) => join.len(),
        }
    }

    /// Whether the sender is inside a frame, as far as it was scanned.
    pub(crate) fn mid_frame(&self) -> bool {
        self.body != Body::None
    }

    /// Whether everything that is to be passed on has been.
    pub(crate) fn is_done(&self) -> bool {
        match self.fate {
            Fate::Drop => true,
            Fate::FinishFrame => !matches!(self.body, Body::Pass { .. }),
            Fate::FinishMessage { owed } => owed == 0 && self.between_messages(),
            Fate::Pass => false,
        }
    }

    fn between_messages(&self) -> bool {
        self.body == Body::None && matches!(self.message, Message::None)
    }

    /// Drops everything behind the frame that is being passed on.
    pub(crate) fn finish_frame(&mut self) {
        match self.fate {
            Fate::Pass | Fate::FinishFrame | Fate::FinishMessage { .. } => {
                self.fate = Fate::FinishFrame;
                // A fragment that is collected is not on the wire: no need to finish it.
                if let Body::Collect { left, fin, .. } = self.body {
                    self.body = Body::Skip { left, fin };
                }
                self.uncollect();
            }
            Fate::Drop => {}
        }
    }

    /// Drops everything behind the message that the next `owed` bytes end in.
    pub(crate) fn finish_message(&mut self, owed: usize) {
        if self.fate == Fate::Pass {
            self.fate = Fate::FinishMessage { owed };
        }
    }

    /// Drops everything from here on, inside a frame or not.
    pub(crate) fn drop_rest(&mut self) {
        self.fate = Fate::Drop;
        match self.body {
            Body::Pass { left, fin } | Body::Collect { left, fin, .. } => {
                self.body = Body::Skip { left, fin };
            }
            Body::None | Body::Skip { .. } => {}
        }
        self.uncollect();
    }

    fn uncollect(&mut self) {
        if let Message::Collecting(_) = self.message {
            self.message = Message::Passing;
        }
    }

    /// Sorts `buf`. Bytes behind a control frame are moved down, each at most once.
    pub(crate) fn scan(&mut self, buf: &mut [u8]) -> Scan {
        // Most buffers hold whole messages only, or a piece from inside a long frame. They have
        // their own short path, since this code is out of the processor's cache at each read.
        let end = buf.len();
        let mut at = 0;
        match self.body {
            Body::None => {
                while let Ok(Some(header)) = frame::parse(&buf[at..], self.sender)
                    && self.is_plain(&header, (end - at) as u64)
                {
                    at += header.size + header.len as usize;
                }
            }
            Body::Pass { left, fin } if left > end as u64 && self.fate == Fate::Pass => {
                self.body = Body::Pass { left: left - end as u64, fin };
                at = end;
            }
            Body::Pass { .. } | Body::Collect { .. } | Body::Skip { .. } => {}
        }
        if at == end {
            return Scan { run: at, rest: at, data: at > 0, rare: None };
        }
        self.scan_from(buf, at)
    }

    /// The same, for all other buffers. What is before `at` is sorted.
    #[inline(never)]
    fn scan_from(&mut self, buf: &mut [u8], at: usize) -> Scan {
        let end = buf.len();
        let mut scan = Scan { data: at > 0, ..Scan::default() };
        let (mut src, mut dst) = (at, at);
        // Comes round once for each frame, and ends when more bytes are needed.
        loop {
            let here = (end - src) as u64;
            match self.body {
                Body::None => {
                    self.turn();
                    let header = match frame::parse(&buf[src..], self.sender) {
                        Ok(Some(header)) => header,
                        Ok(None) => break,
                        Err(rule) => {
                            scan.rare().event = Some(Event::Broken(rule));
                            break;
                        }
                    };
                    if header.opcode.is_control() {
                        if here < header.total() {
                            break;
                        }
                        if header.opcode == Opcode::Ping
                            && let Some(rare) = &mut scan.rare
                            && rare.ping.is_some()
                        {
                            rare.more = true;
                            break;
                        }
                        let next = src + header.size + header.len as usize;
                        let payload = &mut buf[src + header.size..next];
                        let ends = self.control(&header, payload, &mut scan);
                        self.consumed(next - src);
                        src = next;
                        if ends {
                            break;
                        }
                        continue;
                    }
                    scan.data = true;
                    match self.begin(&header, here) {
                        Begin::Enter(body) => {
                            self.body = body;
                            self.consumed(header.size);
                            if let Body::Pass { .. } = body {
                                shift(buf, src, dst, header.size);
                                dst += header.size;
                            }
                            src += header.size;
                        }
                        Begin::Hold => break,
                        Begin::Spill(joined) => {
                            scan.rare().joined = Some(joined);
                            break;
                        }
                        Begin::End(event) => {
                            if let Event::TooLarge { .. } = event {
                                src += header.size;
                            }
                            scan.rare().event = Some(event);
                            break;
                        }
                    }
                }
                Body::Pass { left, fin } => {
                    let n = left.min(here) as usize;
                    shift(buf, src, dst, n);
                    dst += n;
                    src += n;
                    self.consumed(n);
                    scan.data = true;
                    self.body = Body::Pass { left: left - n as u64, fin };
                    if left > here {
                        break;
                    }
                    self.end_frame(fin);
                }
                Body::Skip { left, fin } => {
                    let n = left.min(here) as usize;
                    src += n;
                    self.consumed(n);
                    self.body = Body::Skip { left: left - n as u64, fin };
                    if left > here {
                        break;
                    }
                    self.counts.discarded += u64::from(fin);
                    self.end_frame(fin);
                }
                Body::Collect { left, fin, key, offset } => {
                    let n = left.min(here) as usize;
                    if let Message::Collecting(join) = &mut self.message {
                        join.push(&buf[src..src + n], key, offset);
                    }
                    src += n;
                    self.consumed(n);
                    scan.data = true;
                    let offset = offset + n as u64;
                    self.body = Body::Collect { left: left - n as u64, fin, key, offset };
                    if left > here {
                        break;
                    }
                    self.body = Body::None;
                    if fin {
                        self.announced = 0;
                        let message = std::mem::replace(&mut self.message, Message::None);
                        if let Message::Collecting(join) = message {
                            self.counts.joined += 1;
                            scan.rare().joined = Some(join.into_frame(true));
                            break;
                        }
                    }
                }
            }
        }
        scan.run = dst;
        scan.rest = src;
        scan
    }

    /// Between two frames: an ending that was asked for takes hold.
    #[inline]
    fn turn(&mut self) {
        match self.fate {
            Fate::Pass | Fate::Drop => {}
            Fate::FinishFrame | Fate::FinishMessage { .. } => {
                if self.is_done() {
                    self.fate = Fate::Drop;
                }
            }
        }
    }

    #[inline]
    fn consumed(&mut self, bytes: usize) {
        if let Fate::FinishMessage { owed } = &mut self.fate {
            *owed = owed.saturating_sub(bytes);
        }
    }

    fn end_frame(&mut self, fin: bool) {
        self.body = Body::None;
        if fin {
            self.message = Message::None;
            self.announced = 0;
        }
    }

    /// A whole message, all of it there, that is passed on.
    #[inline]
    fn is_plain(&self, header: &Header, here: u64) -> bool {
        header.fin
            && matches!(header.opcode, Opcode::Text | Opcode::Binary)
            && matches!(self.message, Message::None)
            && self.fate == Fate::Pass
            && header.len <= self.max_message
            && header.total() <= here
    }

    /// A whole control frame. Returns whether it ends the scan.
    fn control(&mut self, header: &Header, payload: &mut [u8], scan: &mut Scan) -> bool {
        if let Some(key) = header.mask {
            frame::apply_mask(payload, key, 0);
        }
        match header.opcode {
            Opcode::Ping => scan.rare().ping = Some((&*payload).into()),
            Opcode::Pong => self.counts.pongs_dropped += 1,
            Opcode::Close => {
                scan.rare().event = Some(match CloseFrame::parse(payload) {
                    Ok(close) => Event::Close(close),
                    Err(rule) => Event::Broken(rule),
                });
                return true;
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        false
    }

    /// A data frame begins, of which `here` bytes are there.
    fn begin(&mut self, header: &Header, here: u64) -> Begin {
        let Header { fin, len, mask, .. } = *header;
        let continues = header.opcode == Opcode::Continuation;
        match (&self.message, continues) {
            (Message::None, true) => {
                return Begin::End(Event::Broken(Rule::ContinuationOutsideMessage));
            }
            (Message::Passing | Message::Collecting(_), false) => {
                return Begin::End(Event::Broken(Rule::MessageInsideMessage));
            }
            (Message::None, false) | (Message::Passing | Message::Collecting(_), true) => {}
        }
        if self.fate == Fate::Drop {
            if !fin {
                self.message = Message::Passing;
            }
            return Begin::Enter(Body::Skip { left: len, fin });
        }
        let announced = self.announced.saturating_add(len);
        if announced > self.max_message {
            // The sender is told. Its own Close may follow behind this message.
            self.drop_rest();
            self.message = Message::Passing;
            self.body = Body::Skip { left: len, fin };
            return Begin::End(Event::TooLarge { limit: self.max_message });
        }
        let joins = self.join_max.is_some_and(|max| announced <= max);
        let collect = Body::Collect { left: len, fin, key: mask.unwrap_or_default(), offset: 0 };
        match std::mem::replace(&mut self.message, Message::Passing) {
            Message::None if !fin && joins => {
                self.announced = announced;
                let join = Join::new(header, crate::entropy::bytes());
                self.message = Message::Collecting(Box::new(join));
                return Begin::Enter(collect);
            }
            Message::Collecting(join) if joins => {
                self.announced = announced;
                self.message = Message::Collecting(join);
                return Begin::Enter(collect);
            }
            Message::Collecting(join) => {
                self.counts.spilled += 1;
                return Begin::Spill(join.into_frame(false));
            }
            Message::None if fin => self.message = Message::None,
            Message::None | Message::Passing => {}
        }
        if len <= self.whole_frame_max && here < header.total() {
            // Decided again, in the same way, when all of it is there.
            if !continues {
                self.message = Message::None;
            }
            return Begin::Hold;
        }
        self.announced = announced;
        if !continues && !fin && self.join_max.is_some() {
            self.counts.spilled += 1;
        }
        Begin::Enter(Body::Pass { left: len, fin })
    }
}

#[inline]
fn shift(buf: &mut [u8], src: usize, dst: usize, n: usize) {
    if src != dst {
        buf.copy_within(src..src + n, dst);
    }
}

#[cfg(test)]
mod tests;

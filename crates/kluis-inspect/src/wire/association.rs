//! An association as requestor (PS3.8 9.2, PS3.7 9.1), no more of it than checks need.
//!
//! One operation at a time. Data sets of answers are counted and dropped, never held.

use std::time::{Duration, Instant};

use kluis_dicom::Uid;
use kluis_dimse::{
    command::{CommandField, CommandSet, Message, Status, element},
    pdu::{
        APPLICATION_CONTEXT, Abort, AbortSource, AssociateAc, AssociateRj, AssociateRq, Decoder, Incoming, Pdu,
        PduLimits, Pdv, ProposedContext, UserInformation, write,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep_until, timeout},
};

use super::{BYTES_MAX, Foreign, Stream};

/// How we name ourselves: nobody shall wonder who that was.
pub(crate) const CALLING: &str = "KLUIS_INSPECT";
const VERSION_NAME: &[u8] = b"KLUIS_INSPECT_1";
/// Below 2.25, from a UUID (PS3.5 B.2).
const CLASS_UID: &str = "2.25.235417205716098573924014536113127044519";
/// What we take in one PDU.
const MAXIMUM_LENGTH: u32 = 16_384;
/// Move Destination (0000,0600).
const MOVE_DESTINATION: u16 = 0x0600;
/// Every acceptor must know it (PS3.5 10).
const IMPLICIT: &str = kluis_dicom::transfer_syntax::IMPLICIT_LITTLE_ENDIAN;

/// Who is asked, in whose name, for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'r> {
    pub(crate) called: &'r str,
    pub(crate) calling: &'r str,
    /// SOP classes; the context ids are 1, 3, 5 and so on.
    pub(crate) sop_classes: &'r [&'static str],
}

/// The first answer.
pub(crate) enum Answer {
    Accepted(Box<Association>, Box<AssociateAc>),
    Rejected(AssociateRj),
    Aborted,
    /// The peer closed or reset the connection.
    Closed,
    /// Nothing within the time.
    Silent,
    /// Bytes that are no DICOM.
    Foreign(Foreign),
}

/// What came of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The final status, and how many pending answers came before it.
    Done(Status, u64),
    /// So many pending answers came; the operation was cancelled.
    Stopped(u64),
    /// The peer aborted or closed.
    Aborted,
    /// Nothing within the time.
    Silent,
}

/// An association that stands.
pub(crate) struct Association {
    wire: Wire,
    message_id: u16,
}

struct Wire {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: Vec<u8>,
    taken: usize,
    most_bytes: usize,
    patience: Duration,
    is_over: bool,
}

/// What is heard on a wire.
enum Heard {
    Pdu(Pdu),
    Command(CommandSet),
    DataSet,
    Closed,
    Silent,
    Foreign(Foreign),
}

/// Asks for an association. The request leaves in the moment in which the connection stands.
pub(crate) async fn associate(stream: Box<dyn Stream>, request: Request<'_>, patience: Duration) -> Answer {
    let mut bytes = Vec::new();
    if write(&Pdu::AssociateRq(Box::new(associate_rq(request))), &mut bytes).is_err() {
        return Answer::Closed;
    }
    let limits = PduLimits { association: 64 << 10, data: 128 << 10 };
    let decoder = Decoder::new(limits);
    let mut wire =
        Wire { stream, decoder, buffer: Vec::new(), taken: 0, most_bytes: BYTES_MAX, patience, is_over: false };
    if !wire.send(&bytes).await {
        return Answer::Closed;
    }
    match wire.hear().await {
        Heard::Pdu(Pdu::AssociateAc(accepted)) => {
            Answer::Accepted(Box::new(Association { wire, message_id: 0 }), accepted)
        }
        Heard::Pdu(Pdu::AssociateRj(rejected)) => Answer::Rejected(rejected),
        Heard::Pdu(Pdu::Abort(_)) => Answer::Aborted,
        Heard::Closed => Answer::Closed,
        Heard::Silent => {
            wire.abort().await;
            Answer::Silent
        }
        Heard::Foreign(foreign) => Answer::Foreign(foreign),
        Heard::Pdu(_) | Heard::Command(_) | Heard::DataSet => {
            wire.abort().await;
            Answer::Foreign(Foreign::Other)
        }
    }
}

fn associate_rq(request: Request<'_>) -> AssociateRq {
    let contexts = request.sop_classes.iter().zip((1..=u8::MAX).step_by(2)).map(|(sop_class, id)| ProposedContext {
        id,
        abstract_syntax: sop_class.parse().ok(),
        transfer_syntaxes: IMPLICIT.parse().into_iter().collect(),
    });
    AssociateRq {
        protocol_version: 1,
        called_ae: padded(request.called),
        calling_ae: padded(request.calling),
        reserved: [0; 32],
        application_context: APPLICATION_CONTEXT.parse().ok(),
        contexts: contexts.collect(),
        user: UserInformation {
            maximum_length: Some(MAXIMUM_LENGTH),
            implementation_class_uid: CLASS_UID.parse().ok(),
            implementation_version: Some(VERSION_NAME.to_vec()),
            ..UserInformation::default()
        },
    }
}

fn padded(title: &str) -> [u8; 16] {
    let mut bytes = [b' '; 16];
    for (to, from) in bytes.iter_mut().zip(title.bytes()) {
        *to = from;
    }
    bytes
}

impl Association {
    /// C-ECHO (PS3.7 9.1.5) in this context; how long the answer took.
    pub(crate) async fn echo(&mut self, context_id: u8) -> Option<Duration> {
        let begun = Instant::now();
        let command = self.command(CommandField::C_ECHO_RQ, sop_class(VERIFICATION), false);
        match self.operate(context_id, &command, None, 0).await {
            Operation::Done(Status::SUCCESS, _) => Some(begun.elapsed()),
            _ => None,
        }
    }

    /// C-FIND (PS3.7 9.1.2); cancelled when more than `most` matches came.
    pub(crate) async fn find(&mut self, context_id: u8, model: &str, identifier: &[u8], most: u64) -> Operation {
        let command = self.command(CommandField::C_FIND_RQ, sop_class(model), true);
        self.operate(context_id, &command, Some(identifier), most).await
    }

    /// Takes so many bytes of this peer: for counting.
    pub(crate) fn take_up_to(&mut self, bytes: usize) {
        self.wire.most_bytes = bytes;
    }

    /// C-GET (PS3.7 9.1.3).
    pub(crate) async fn get(&mut self, context_id: u8, model: &str, identifier: &[u8]) -> Operation {
        let command = self.command(CommandField::C_GET_RQ, sop_class(model), true);
        self.operate(context_id, &command, Some(identifier), 0).await
    }

    /// C-MOVE (PS3.7 9.1.4) to ourselves.
    pub(crate) async fn r#move(
        &mut self,
        context_id: u8,
        model: &str,
        identifier: &[u8],
        destination: &str,
    ) -> Operation {
        let mut command = self.command(CommandField::C_MOVE_RQ, sop_class(model), true);
        command.set_text(MOVE_DESTINATION, destination, 16);
        self.operate(context_id, &command, Some(identifier), 0).await
    }

    /// A-RELEASE (PS3.8 7.2); what has already ended is left alone.
    pub(crate) async fn release(mut self) {
        let mut bytes = Vec::new();
        if self.wire.is_over || write(&Pdu::ReleaseRq, &mut bytes).is_err() || !self.wire.send(&bytes).await {
            return;
        }
        match self.wire.hear().await {
            Heard::Pdu(Pdu::ReleaseRp) | Heard::Closed => {}
            _ => self.wire.abort().await,
        }
    }

    fn command(&mut self, field: CommandField, sop_class: Option<Uid>, has_data_set: bool) -> CommandSet {
        self.message_id = self.message_id.wrapping_add(1);
        let mut set = CommandSet::default();
        if let Some(sop_class) = sop_class {
            set.set_uid(element::AFFECTED_SOP_CLASS_UID, &sop_class);
        }
        set.set_us(element::COMMAND_FIELD, field.0);
        set.set_us(element::MESSAGE_ID, self.message_id);
        if has_data_set {
            set.set_us(element::PRIORITY, 0);
        }
        set.set_us(element::DATA_SET_TYPE, if has_data_set { 1 } else { 0x0101 });
        set
    }

    async fn operate(&mut self, context_id: u8, set: &CommandSet, identifier: Option<&[u8]>, most: u64) -> Operation {
        let mut command = Vec::new();
        set.write(&mut command);
        let pdv = |is_command, bytes| Pdv { context_id, is_command, is_last: true, bytes };
        let mut pdvs = vec![pdv(true, command)];
        pdvs.extend(identifier.map(|bytes| pdv(false, bytes.to_vec())));
        let mut bytes = Vec::new();
        // one PDU each, as some take only one value in one
        let is_written = pdvs.into_iter().all(|pdv| write(&Pdu::Data(vec![pdv]), &mut bytes).is_ok());
        if self.wire.is_over || !is_written || !self.wire.send(&bytes).await {
            self.wire.is_over = true;
            return Operation::Aborted;
        }
        let mut pending = 0_u64;
        let mut is_cancelled = false;
        loop {
            match self.wire.hear().await {
                Heard::DataSet => {}
                Heard::Command(set) => match Message::read(&set) {
                    Ok(Message::Response(response)) => match response.status {
                        Some(Status::PENDING | Status::PENDING_KEY_NOT_SUPPORTED) => {
                            pending = pending.saturating_add(1);
                            if pending > most && !is_cancelled {
                                is_cancelled = true;
                                self.cancel(context_id).await;
                            }
                        }
                        Some(_) if is_cancelled => return Operation::Stopped(pending),
                        Some(status) => return Operation::Done(status, pending),
                        None => return self.end(Operation::Aborted).await,
                    },
                    // a C-STORE-RQ of a C-GET that cannot match anything, or nonsense: nothing is taken
                    _ => return self.end(Operation::Stopped(pending)).await,
                },
                // a cancelled operation has told what was to be known, however it ends
                _ if is_cancelled => return self.end(Operation::Stopped(pending)).await,
                Heard::Silent => return self.end(Operation::Silent).await,
                Heard::Pdu(Pdu::Abort(_)) | Heard::Closed => {
                    self.wire.is_over = true;
                    return Operation::Aborted;
                }
                Heard::Pdu(_) | Heard::Foreign(_) => return self.end(Operation::Aborted).await,
            }
        }
    }

    /// C-CANCEL (PS3.7 9.3.2.3). The peer still says when it has ended.
    async fn cancel(&mut self, context_id: u8) {
        let mut set = CommandSet::default();
        set.set_us(element::COMMAND_FIELD, CommandField::C_CANCEL_RQ.0);
        set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, self.message_id);
        set.set_us(element::DATA_SET_TYPE, 0x0101);
        let (mut command, mut bytes) = (Vec::new(), Vec::new());
        set.write(&mut command);
        let pdv = Pdv { context_id, is_command: true, is_last: true, bytes: command };
        if write(&Pdu::Data(vec![pdv]), &mut bytes).is_ok() {
            self.wire.send(&bytes).await;
        }
    }

    async fn end(&mut self, with: Operation) -> Operation {
        self.wire.abort().await;
        with
    }
}

/// Verification (PS3.4 A).
pub(crate) const VERIFICATION: &str = "1.2.840.10008.1.1";

fn sop_class(uid: &str) -> Option<Uid> {
    uid.parse().ok()
}

impl Wire {
    async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        matches!(timeout(self.patience, sent).await, Ok(Ok(())))
    }

    async fn abort(&mut self) {
        self.is_over = true;
        let mut bytes = Vec::new();
        if write(&Pdu::Abort(Abort { source: AbortSource::User, reason: 0 }), &mut bytes).is_ok() {
            self.send(&bytes).await;
        }
        let _ = timeout(self.patience, self.stream.shutdown()).await;
    }

    /// The next thing that the peer says, whole. The time is for all of it: a peer that trickles is a silent one.
    async fn hear(&mut self) -> Heard {
        let until = tokio::time::Instant::now() + self.patience;
        let mut command: Vec<u8> = Vec::new();
        loop {
            match self.decode(&mut command) {
                Some(heard) => return heard,
                None if self.taken > self.most_bytes => return Heard::Foreign(Foreign::Other),
                None => {}
            }
            let mut piece = [0_u8; 4096];
            let read = tokio::select! {
                biased;
                read = self.stream.read(&mut piece) => read,
                () = sleep_until(until) => return Heard::Silent,
            };
            match read {
                Ok(count @ 1..) => {
                    self.taken = self.taken.saturating_add(count);
                    self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
                }
                _ => return Heard::Closed,
            }
        }
    }

    /// What the bytes so far say; none where more are wanted.
    fn decode(&mut self, command: &mut Vec<u8>) -> Option<Heard> {
        loop {
            let Ok(step) = self.decoder.next(&self.buffer) else {
                return Some(Heard::Foreign(Foreign::of(&self.buffer)));
            };
            let consumed = step.consumed;
            let heard = match step.incoming {
                None if consumed == 0 => return None,
                None | Some(Incoming::Data) => None,
                Some(Incoming::Pdu(pdu)) => Some(Heard::Pdu(pdu)),
                Some(Incoming::Fragment { is_command: false, is_end, .. }) => is_end.then_some(Heard::DataSet),
                Some(Incoming::Fragment { bytes, is_end, .. }) => {
                    command.extend_from_slice(bytes);
                    is_end.then(|| match CommandSet::read(command) {
                        Ok(set) => Heard::Command(set),
                        Err(_) => Heard::Foreign(Foreign::Other),
                    })
                }
            };
            self.buffer.drain(..consumed.min(self.buffer.len()));
            if heard.is_some() {
                return heard;
            }
        }
    }
}

//! C-GET: objects go out as C-STORE sub-operations on the same association, one at a time; a C-CANCEL is heard between any
//! two of them (PS3.7 9.1.3, 9.3.3).

use std::pin::pin;

use kluis_dicom::{Phi, Uid};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout_at,
};

use super::{
    How,
    connection::{Arrived, Patience},
    outgoing::{Begun, write_pdus},
    session::Session,
};
use crate::{
    Body, GetRequest, Object, Objects, Outcome, Services,
    association::{Event, Violation},
    command::{CommandField, Counts, Message, OtherRequest, Reply, Response, Status, store_command},
};

/// What comes first, while the next object is fetched.
enum First<B> {
    Fetched(Result<Option<Object<B>>, Outcome>),
    Cancelled,
}

/// The C-GET that is answered.
struct Get {
    context_id: u8,
    request: OtherRequest,
    counts: Counts,
    failed: Vec<Uid>,
    is_cancelled: bool,
}

impl<S, V> Session<'_, S, V>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    V: Services,
{
    pub(super) async fn get(
        &mut self,
        context_id: u8,
        request: OtherRequest,
        identifier: Phi<Vec<u8>>,
    ) -> Result<(), How> {
        let Some(context) = self.contexts.get(&context_id) else {
            return Err(Violation::ContextNotAccepted(context_id).into());
        };
        let wanted = GetRequest {
            message_id: request.message_id,
            sop_class: context.abstract_syntax.clone(),
            transfer_syntax: context.transfer_syntax.clone(),
            identifier,
            taken: self.contexts.values().filter(|context| context.we_may_use).cloned().collect(),
        };
        let mut objects = match self.services.get(wanted).await {
            Ok(objects) => objects,
            Err(outcome) => return self.reply(context_id, request, outcome).await,
        };
        let mut get = Get { context_id, request, counts: Counts::default(), failed: Vec::new(), is_cancelled: false };
        let outcome = self.perform(&mut get, &mut objects).await?;
        let is_complete = outcome.is_none() && !get.is_cancelled;
        let Outcome { status, comment } = outcome.unwrap_or_else(|| get.counts.status(get.is_cancelled).into());
        let is_listed = !get.failed.is_empty() && status != Status::SUCCESS;
        let list = if is_listed { objects.failed_list(&get.failed) } else { Vec::new() };
        let counts = Some(get.counts);
        let reply = Reply { request: get.request, status, comment, has_data_set: is_listed, counts };
        self.last_reply(context_id, &reply, &list).await?;
        if is_complete {
            objects.complete();
        }
        Ok(())
    }

    /// Sends one object after the other; an outcome where something but them decides it.
    async fn perform(&mut self, get: &mut Get, objects: &mut V::Objects) -> Result<Option<Outcome>, How> {
        // goes out in one write with the next sub-operation
        let mut pending = Vec::new();
        while !get.is_cancelled {
            get.counts.remaining = count(objects.remaining());
            let object = match self.fetched(objects, get).await? {
                First::Fetched(Ok(Some(object))) => object,
                First::Fetched(Ok(None)) => break,
                First::Fetched(Err(outcome)) => return Ok(Some(outcome)),
                First::Cancelled => {
                    get.is_cancelled = true;
                    break;
                }
            };
            let sop_instance = object.sop_instance.clone();
            match self.store_object(get, object, std::mem::take(&mut pending)).await? {
                Some(Status::SUCCESS) => add(&mut get.counts.completed),
                Some(status) if !status.is_failure() => add(&mut get.counts.warning),
                _ => {
                    add(&mut get.counts.failed);
                    get.failed.push(sop_instance);
                }
            }
            get.counts.remaining = count(objects.remaining());
            if get.counts.remaining > 0 {
                pending = get.pending(self.send_maximum);
            }
            if self.connection.is_shutting_down() {
                return Err(How::ShutDown);
            }
        }
        Ok(None)
    }

    /// Waits for the next object, and listens to the peer meanwhile.
    async fn fetched(
        &mut self,
        objects: &mut V::Objects,
        get: &Get,
    ) -> Result<First<<V::Objects as Objects>::Body>, How> {
        let mut next = pin!(objects.next());
        loop {
            tokio::select! {
                biased;
                arrived = self.connection.next(Patience::Operation) => {
                    if self.is_cancelled(arrived?, get.request.message_id)? {
                        return Ok(First::Cancelled);
                    }
                }
                fetched = &mut next => return Ok(First::Fetched(fetched)),
            }
        }
    }

    /// One sub-operation; no status where the object could not be sent. `message` goes out before it.
    async fn store_object<B: Body>(
        &mut self,
        get: &mut Get,
        object: Object<B>,
        mut message: Vec<u8>,
    ) -> Result<Option<Status>, How> {
        let Object { sop_class, sop_instance, content } = object;
        let context_id = content.as_ref().and_then(|(transfer_syntax, _)| {
            let fits = |id: &u8| {
                let context = self.contexts.get(id);
                context.is_some_and(|context| {
                    context.we_may_use
                        && context.abstract_syntax == sop_class
                        && context.transfer_syntax == *transfer_syntax
                })
            };
            self.contexts.keys().copied().find(fits)
        });
        let begun = match (context_id, content) {
            (Some(context_id), Some((_, body))) => Begun::new(body).await.map(|begun| (context_id, begun)),
            _ => None,
        };
        let Some((context_id, begun)) = begun else {
            self.connection.send_all(&mut message).await?;
            return Ok(None);
        };
        self.own_message_id = self.own_message_id.wrapping_add(1).max(1);
        let mut command = Vec::new();
        store_command(self.own_message_id, &sop_class, &sop_instance).write(&mut command);
        write_pdus(context_id, true, &command, self.send_maximum, &mut message);
        self.connection.send_data_set(context_id, begun, self.send_maximum, message).await?;
        self.connection.message_done();
        self.stored(get).await.map(Some)
    }

    /// Waits for the answer to our request. A C-CANCEL may come before it.
    async fn stored(&mut self, get: &mut Get) -> Result<Status, How> {
        let until = self.connection.patience_ends();
        // however much else it says meanwhile
        timeout_at(until, self.answered(get)).await.map_err(|_| Violation::Idle)?
    }

    async fn answered(&mut self, get: &mut Get) -> Result<Status, How> {
        loop {
            match self.connection.next(Patience::Message).await? {
                Arrived::Data => {
                    self.machine.on(Event::Data);
                }
                Arrived::Fragment { context_id, is_command: true, is_end, range } => {
                    let Some(set) = self.command_set(context_id, is_end, range)? else { continue };
                    match Message::read(&set).map_err(Violation::Command)? {
                        Message::Response(response) if response.field == CommandField::N_EVENT_REPORT_RQ.response() => {
                            // to a notification that crossed the request
                            self.event_answered(response)?;
                        }
                        Message::Response(response) => return self.status_of(response),
                        Message::Cancel(named) => get.is_cancelled |= named == Some(get.request.message_id),
                        _ => return Err(Violation::RequestWithinOperation.into()),
                    }
                }
                Arrived::Fragment { .. } => return Err(Violation::DataSetWithoutCommand.into()),
                Arrived::Pdu(pdu) => return Err(self.ended_by(pdu)),
            }
        }
    }

    fn status_of(&self, response: Response) -> Result<Status, How> {
        let is_ours = response.field == CommandField::C_STORE_RQ.response()
            && response.message_id == Some(self.own_message_id)
            && !response.has_data_set;
        match response.status {
            Some(status) if is_ours => Ok(status),
            _ => Err(Violation::UnexpectedResponse(response.field.0).into()),
        }
    }
}

impl Get {
    fn pending(&self, send_maximum: u32) -> Vec<u8> {
        pending(self.context_id, &self.request, self.counts, send_maximum)
    }
}

/// A response that tells how far it is.
pub(super) fn pending(context_id: u8, request: &OtherRequest, counts: Counts, send_maximum: u32) -> Vec<u8> {
    let (request, counts) = (request.clone(), Some(counts));
    let reply = Reply { request, status: Status::PENDING, comment: None, has_data_set: false, counts };
    let (mut command, mut message) = (Vec::new(), Vec::new());
    reply.command_set().write(&mut command);
    write_pdus(context_id, true, &command, send_maximum, &mut message);
    message
}

/// Counters have 16 bits.
fn count(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn add(counter: &mut u16) {
    *counter = counter.saturating_add(1);
}

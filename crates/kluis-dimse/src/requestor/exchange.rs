//! Messages of an association that we asked for: a request out, what comes until its response in.

use kluis_dicom::Phi;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Association, EventReport};
use crate::{
    association::{Event, Violation},
    command::{CommandField, CommandSet, Message, OtherRequest, Status, element},
    driver::{
        How,
        connection::{Arrived, Patience},
        outgoing::write_pdus,
    },
    limits,
};

/// A command set that came, and the context it came in.
pub(super) struct Incoming {
    pub(super) context_id: u8,
    pub(super) set: CommandSet,
    pub(super) message: Message,
}

impl Incoming {
    fn request(&self) -> Option<&OtherRequest> {
        match &self.message {
            Message::Store(command) => Some(&command.request),
            Message::Echo(request)
            | Message::Find(request)
            | Message::Get(request)
            | Message::Move(request, _)
            | Message::Other(request) => Some(request),
            Message::Normalized(command) => Some(&command.request),
            Message::Response(_) | Message::Cancel(_) => None,
        }
    }
}

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Sends a request or response, with its data set where it has one.
    pub(super) async fn send(
        &mut self,
        context_id: u8,
        command: &CommandSet,
        data_set: Option<&[u8]>,
    ) -> Result<(), How> {
        let (mut bytes, mut message) = (Vec::new(), Vec::new());
        command.write(&mut bytes);
        write_pdus(context_id, true, &bytes, self.send_maximum, &mut message);
        if let Some(data_set) = data_set {
            write_pdus(context_id, false, data_set, self.send_maximum, &mut message);
        }
        self.machine.on(Event::LocalData);
        self.connection.send(&message).await?;
        self.connection.message_done();
        Ok(())
    }

    /// The next command set, in whatever fragments it comes.
    pub(super) async fn incoming(&mut self) -> Result<Incoming, How> {
        self.connection.message_done();
        let mut begun: Option<(u8, Vec<u8>)> = None;
        loop {
            let patience = if begun.is_some() { Patience::Rest } else { Patience::Message };
            match self.connection.next(patience).await? {
                Arrived::Data => {
                    self.machine.on(Event::Data);
                }
                Arrived::Fragment { context_id, is_command: true, is_end, range } => {
                    self.check_context(context_id)?;
                    let (began, bytes) = begun.get_or_insert_with(|| (context_id, Vec::new()));
                    if *began != context_id {
                        return Err(Violation::ContextChanged { began: *began, went_on: context_id }.into());
                    }
                    let fragment = self.connection.bytes(range);
                    if bytes.len().saturating_add(fragment.len()) > limits::COMMAND_SET {
                        return Err(Violation::CommandTooLong.into());
                    }
                    bytes.extend_from_slice(fragment);
                    if is_end {
                        let set = CommandSet::read(bytes).map_err(Violation::Command)?;
                        let message = Message::read(&set).map_err(Violation::Command)?;
                        return Ok(Incoming { context_id, set, message });
                    }
                }
                Arrived::Fragment { .. } => return Err(Violation::DataSetWithoutCommand.into()),
                Arrived::Pdu(pdu) => return Err(self.ended_by(&pdu)),
            }
        }
    }

    fn check_context(&self, context_id: u8) -> Result<(), How> {
        match self.contexts.contains_key(&context_id) {
            true => Ok(()),
            false => Err(Violation::ContextNotAccepted(context_id).into()),
        }
    }

    /// The next fragment of the data set that is under way, and whether it is the last.
    pub(super) async fn fragment(&mut self, began: u8) -> Result<(&[u8], bool), How> {
        loop {
            match self.connection.next(Patience::Rest).await? {
                Arrived::Data => {
                    self.machine.on(Event::Data);
                }
                Arrived::Fragment { is_command: true, .. } => return Err(Violation::CommandWithinDataSet.into()),
                Arrived::Fragment { context_id, .. } if context_id != began => {
                    return Err(Violation::ContextChanged { began, went_on: context_id }.into());
                }
                Arrived::Fragment { is_end, range, .. } => return Ok((self.connection.bytes(range), is_end)),
                Arrived::Pdu(pdu) => return Err(self.ended_by(&pdu)),
            }
        }
    }

    /// A data set into memory.
    pub(super) async fn data_set(&mut self, context_id: u8) -> Result<Phi<Vec<u8>>, How> {
        let mut data_set = Phi(Vec::new());
        loop {
            let (fragment, is_end) = self.fragment(context_id).await?;
            if data_set.0.len().saturating_add(fragment.len()) > limits::ANSWER_DATA_SET {
                return Err(Violation::DataSetTooLong.into());
            }
            data_set.0.extend_from_slice(fragment);
            if is_end {
                return Ok(data_set);
            }
        }
    }

    /// The next response to the request with this id, with its data set. Notifications that come before it are answered
    /// and kept.
    pub(super) async fn response(
        &mut self,
        request: CommandField,
        message_id: u16,
    ) -> Result<(CommandSet, Answer, Option<Phi<Vec<u8>>>), How> {
        loop {
            let incoming = self.incoming().await?;
            if let Message::Response(response) = &incoming.message {
                let (status, has_data_set) = (response.status, response.has_data_set);
                let is_ours = response.field == request.response() && response.message_id == Some(message_id);
                let Some(status) = status.filter(|_| is_ours) else {
                    return Err(Violation::UnexpectedResponse(response.field.0).into());
                };
                let answer = Answer::of(&incoming.set, status);
                let data_set = match has_data_set {
                    true => Some(self.data_set(incoming.context_id).await?),
                    false => None,
                };
                return Ok((incoming.set, answer, data_set));
            }
            self.notified(incoming).await?;
        }
    }

    /// Answers a notification and keeps it. Any other request was not negotiated.
    pub(super) async fn notified(&mut self, incoming: Incoming) -> Result<(), How> {
        let is_event = |request: &&OtherRequest| request.field == CommandField::N_EVENT_REPORT_RQ;
        let request = incoming.request().filter(is_event).filter(|_| self.events.len() < limits::EVENTS_KEPT);
        let request = request.ok_or(Violation::RequestWithinOperation)?;
        let (context_id, message_id) = (incoming.context_id, request.message_id);
        let data_set = match request.has_data_set {
            true => Some(self.data_set(context_id).await?),
            false => None,
        };
        let event = EventReport {
            context_id,
            message_id,
            sop_class: request.sop_class.clone(),
            sop_instance: request.sop_instance.clone(),
            event_type: incoming.set.us(element::EVENT_TYPE_ID),
            data_set,
        };
        let answer = event.response(Status::SUCCESS);
        self.send(context_id, &answer, None).await?;
        self.events.push(event);
        Ok(())
    }
}

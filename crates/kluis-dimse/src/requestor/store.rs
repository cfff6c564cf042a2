//! C-ECHO and C-STORE (PS3.7 9.1.5, 9.1.1).

use kluis_dicom::{AeTitle, Uid};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Association, Failure};
use crate::{
    Body,
    association::Event,
    command::{CommandField, CommandSet, element, request_command, store_command},
    driver::{
        How,
        outgoing::{Begun, write_pdus},
    },
};

/// What came of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The peer answered.
    Answered(Answer),
    /// Its bytes could not be read; nothing of it was sent, and the association goes on.
    Unreadable,
}

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Asks whether the peer is there, in a context of the Verification SOP class.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn echo(&mut self, context_id: u8) -> Result<Answer, Failure> {
        let sop_class = self.sop_class_of(context_id)?;
        let message_id = self.next_message_id();
        let command = request_command(CommandField::C_ECHO_RQ, message_id, &sop_class, false);
        let echoed = async {
            self.send(context_id, &command, None).await?;
            let (_, answer, _) = self.response(CommandField::C_ECHO_RQ, message_id).await?;
            Ok(answer)
        };
        match echoed.await {
            Ok(answer) => Ok(answer),
            Err(how) => Err(self.given_up(how).await),
        }
    }

    /// Sends one object in a context that was accepted for its SOP class and transfer syntax. `originator`: who asked for it
    /// by a C-MOVE, and the message ID of that.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn store<B: Body>(
        &mut self,
        context_id: u8,
        sop_instance: &Uid,
        originator: Option<(&AeTitle, u16)>,
        body: B,
    ) -> Result<Stored, Failure> {
        let sop_class = self.sop_class_of(context_id)?;
        let Some(begun) = Begun::new(body).await else { return Ok(Stored::Unreadable) };
        let message_id = self.next_message_id();
        let mut command = store_command(message_id, &sop_class, sop_instance);
        if let Some((title, id)) = originator {
            command.set_text(element::MOVE_ORIGINATOR_AE_TITLE, title.as_str(), 16);
            command.set_us(element::MOVE_ORIGINATOR_MESSAGE_ID, id);
        }
        match self.sent_and_answered(context_id, message_id, &command, begun).await {
            Ok(answer) => Ok(Stored::Answered(answer)),
            Err(how) => Err(self.given_up(how).await),
        }
    }

    async fn sent_and_answered<B: Body>(
        &mut self,
        context_id: u8,
        message_id: u16,
        command: &CommandSet,
        begun: Begun<B>,
    ) -> Result<Answer, How> {
        let (mut bytes, mut message) = (Vec::new(), Vec::new());
        command.write(&mut bytes);
        write_pdus(context_id, true, &bytes, self.send_maximum, &mut message);
        self.machine.on(Event::LocalData);
        self.connection.send_data_set(context_id, begun, self.send_maximum, message).await?;
        let (_, answer, _) = self.response(CommandField::C_STORE_RQ, message_id).await?;
        Ok(answer)
    }

    pub(super) fn sop_class_of(&self, context_id: u8) -> Result<Uid, Failure> {
        let agreed = self.contexts.get(&context_id);
        // whoever names a context has it from this association
        agreed.map(|agreed| agreed.abstract_syntax.clone()).ok_or(Failure::Closed)
    }
}

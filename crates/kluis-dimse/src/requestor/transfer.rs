//! C-MOVE (PS3.7 9.1.4): the peer sends to a third, and tells how far it is.

use kluis_dicom::{AeTitle, Phi};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Association, Failure};
use crate::command::{CommandField, Counts, cancel_command, element, request_command};

/// What comes next of a C-MOVE or C-GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Pending(Counts),
    /// That was all.
    End {
        /// The last word.
        answer: Answer,
        /// What became of the objects.
        counts: Counts,
        /// An identifier with the Failed SOP Instance UID List, where one came.
        failed: Option<Phi<Vec<u8>>>,
    },
}

/// A C-MOVE that is performed. Nothing else can be asked of the association until [`Progress::End`].
#[derive(Debug)]
pub struct Transferring<'a, S> {
    association: &'a mut Association<S>,
    context_id: u8,
    message_id: u16,
}

impl<S> Association<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Asks the peer to send what an identifier names, which is in the transfer syntax of the context.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn transfer(
        &mut self,
        context_id: u8,
        destination: &AeTitle,
        identifier: &[u8],
    ) -> Result<Transferring<'_, S>, Failure> {
        let sop_class = self.sop_class_of(context_id)?;
        let message_id = self.next_message_id();
        let mut command = request_command(CommandField::C_MOVE_RQ, message_id, &sop_class, true);
        command.set_text(element::MOVE_DESTINATION, destination.as_str(), 16);
        match self.send(context_id, &command, Some(identifier)).await {
            Ok(()) => Ok(Transferring { association: self, context_id, message_id }),
            Err(how) => Err(self.given_up(how).await),
        }
    }
}

impl<S> Transferring<'_, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// How far it is, or the end.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn next(&mut self) -> Result<Progress, Failure> {
        match self.association.response(CommandField::C_MOVE_RQ, self.message_id).await {
            Ok((set, answer, _)) if answer.status.is_pending() => Ok(Progress::Pending(Counts::of(&set))),
            Ok((set, answer, failed)) => Ok(Progress::End { answer, counts: Counts::of(&set), failed }),
            Err(how) => Err(self.association.given_up(how).await),
        }
    }

    /// Asks the peer to stop (C-CANCEL).
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn cancel(&mut self) -> Result<(), Failure> {
        let sent = self.association.send(self.context_id, &cancel_command(self.message_id), None).await;
        match sent {
            Ok(()) => Ok(()),
            Err(how) => Err(self.association.given_up(how).await),
        }
    }
}

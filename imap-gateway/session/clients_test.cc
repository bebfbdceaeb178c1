// What well-known clients say, as they say it: one transcript for each habit. A client that stops
// working here would stop working for its users.

#include <gtest/gtest.h>

#include "imap-gateway/testing/imap_fixture.h"

namespace posthorn::imap_gateway {
namespace {

struct Conversation {
  const char* name;
  const char* transcript;
};
void PrintTo(const Conversation& c, std::ostream* os) { *os << c.name; }

// Two messages in INBOX, the first seen; Sent, Drafts, Junk and Trash with their special uses.
class ImapClients : public ::testing::TestWithParam<std::tuple<Conversation, size_t>> {
 protected:
  ImapClients() : f_(std::get<1>(GetParam())) {
    f_.store.AddMailbox("Drafts", "\\Drafts");
    f_.store.AddMailbox("Sent", "\\Sent");
    f_.store.AddMailbox("Trash", "\\Trash");
    f_.store.AddMessage("INBOX",
                        "From: Ann <a@example.org>\r\nTo: b@example.org\r\nSubject: one\r\n"
                        "Date: Mon, 3 Feb 2020 10:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n"
                        "X-Mailer: pigeon\r\n\r\nfirst\r\n",
                        kSeen);
    f_.store.AddMessage("INBOX",
                        "From: Bob <b@example.org>\r\nSubject: two\r\nMessage-ID: <2@example.org>"
                        "\r\n\r\nsecond\r\n");
  }
  ImapFixture f_;
};

TEST_P(ImapClients, AreServedAsTheyExpect) { f_.Chat(std::get<0>(GetParam()).transcript); }

const Conversation kConversations[] = {
    {"Thunderbird on a new account", R"(
    S1: * OK [CAPABILITY *
    C1: 1 capability
    S1: * CAPABILITY IMAP4rev1 *
    S1: 1 OK *
    C1: 2 authenticate PLAIN
    S1: +*
    C1: AGFubgBzZWNyZXQ=
    S1: 2 OK [CAPABILITY *
    C1: 3 ID ("name" "Thunderbird" "version" "128.5.0")
    S1: * ID (*
    S1: 3 OK *
    C1: 4 namespace
    S1: * NAMESPACE (("" "/")) NIL NIL
    S1: 4 OK *
    C1: 5 list (subscribed) "" "*" return (special-use)
    S1: 5 OK *
    C1: 6 list "" "INBOX"
    S1: * LIST (\HasNoChildren) "/" INBOX
    S1: 6 OK *
    C1: 7 list (special-use) "" "*"
    S1: * LIST (*\Drafts*) "/" Drafts
    S1: * LIST (*\Sent*) "/" Sent
    S1: * LIST (*\Trash*) "/" Trash
    S1: 7 OK *
    C1: 8 create "Archives"
    S1: 8 OK *
    C1: 9 subscribe "Archives"
    S1: 9 OK *
    C1: 10 lsub "" "*"
    S1: * LSUB (*) "/" Archives
    S1: 10 OK *
    C1: 11 select "INBOX"
    S1: ...
    S1: 11 OK [READ-WRITE] *
    C1: 12 UID fetch 1:* (FLAGS)
    S1: * 1 FETCH (UID 1 FLAGS (\Seen))
    S1: * 2 FETCH (UID 2 FLAGS ())
    S1: 12 OK *
    C1: 13 UID fetch 1:2 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])
    S1: * 1 FETCH (UID 1 FLAGS (\Seen) RFC822.SIZE * BODY[HEADER.FIELDS (*)] {*}
    S1: From: Ann <a@example.org>
    S1: To: b@example.org
    S1: Subject: one
    S1: Date: Mon, 3 Feb 2020 10:00:00 +0100
    S1: Message-ID: <1@example.org>
    S1:
    S1: )
    S1: ...
    S1: 13 OK *
    C1: 14 UID fetch 2 (UID RFC822.SIZE BODY.PEEK[])
    S1: ...
    S1: 14 OK *
    C1: 15 uid store 2 +Flags (\Seen)
    S1: * 2 FETCH (UID 2 FLAGS (\Seen))
    S1: 15 OK *
    C1: 16 uid copy 1 "Archives"
    S1: 16 OK [COPYUID 1005 1 1] *
    C1: 17 uid move 2 "Archives"
    S1: * OK [COPYUID 1005 2 2] *
    S1: * 2 EXPUNGE
    S1: 17 OK *
    C1: 18 IDLE
    S1: + *
    C1: DONE
    S1: 18 OK *
    C1: 19 noop
    S1: 19 OK *
    C1: 20 UID SEARCH CHARSET UTF-8 UNDELETED OR SUBJECT {3}
    S1: + *
    C1: one FROM "nobody"
    S1: * SEARCH 1
    S1: 20 OK *
    C1: 21 logout
    S1: * BYE *
    S1: 21 OK *
  )"},
    {"Apple Mail", R"(
    L1:
    C1: 2.9 ID ("name" "iPhone Mail" "version" "21F90" "os" "iOS" "os-version" "17.5")
    S1: * ID (*
    S1: 2.9 OK *
    C1: 3.9 LIST "" "*"
    S1: * LIST (*) "/" Drafts
    S1: ...
    S1: 3.9 OK *
    C1: 4.9 STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)
    S1: * STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 1001 UNSEEN 1)
    S1: 4.9 OK *
    C1: 5.9 ENABLE CONDSTORE
    S1: * ENABLED CONDSTORE
    S1: 5.9 OK *
    C1: 6.9 SELECT INBOX (CONDSTORE)
    S1: ...
    S1: 6.9 OK *
    C1: 7.9 FETCH 1:2 (INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (date subject from to)])
    S1: * 1 FETCH (*
    S1: ...
    S1: 7.9 OK *
    C1: 8.9 UID FETCH 1 (BODYSTRUCTURE BODY.PEEK[HEADER])
    S1: * 1 FETCH (UID 1 BODYSTRUCTURE ("TEXT" "PLAIN" *
    S1: ...
    S1: 8.9 OK *
    C1: 9.9 UID FETCH 1 BODY.PEEK[1]<0.1048576>
    S1: * 1 FETCH (UID 1 BODY[1]<0> {7}
    S1: first
    S1: )
    S1: 9.9 OK *
    C1: 10.9 UID SEARCH 1:* NOT DELETED
    S1: * SEARCH 1 2
    S1: 10.9 OK *
  )"},
    {"K-9 on Android", R"(
    L1:
    C1: 2 NAMESPACE
    S1: * NAMESPACE (("" "/")) NIL NIL
    S1: 2 OK *
    C1: 3 LIST (SPECIAL-USE) "" "*"
    S1: * LIST (*\Drafts*) "/" Drafts
    S1: ...
    S1: 3 OK *
    C1: 4 SELECT "INBOX"
    S1: ...
    S1: 4 OK *
    C1: 5 UID SEARCH 1:2 NOT DELETED
    S1: * SEARCH 1 2
    S1: 5 OK *
    C1: 6 UID FETCH 2,1 (UID FLAGS)
    S1: * 1 FETCH (UID 1 FLAGS (\Seen))
    S1: * 2 FETCH (UID 2 FLAGS ())
    S1: 6 OK *
    C1: 7 UID FETCH 2 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (date subject from content-type to cc reply-to message-id references in-reply-to list-unsubscribe X-K9mail-Identity)])
    S1: * 2 FETCH (UID 2 FLAGS () INTERNALDATE "*" RFC822.SIZE * BODY[HEADER.FIELDS (*)] {*}
    S1: From: Bob <b@example.org>
    S1: Subject: two
    S1: Message-ID: <2@example.org>
    S1:
    S1: )
    S1: 7 OK *
    C1: 8 UID FETCH 2 (UID BODY.PEEK[]<0.32768>)
    S1: * 2 FETCH (UID 2 BODY[]<0> {*}
    S1: ...
    S1: 8 OK *
    C1: 9 UID STORE 2 +FLAGS.SILENT (\Seen)
    S1: 9 OK *
    C1: 10 IDLE
    S1: + *
    C1: DONE
    S1: 10 OK *
    C1: 11 UID SEARCH HEADER MESSAGE-ID "<2@example.org>"
    S1: * SEARCH 2
    S1: 11 OK *
  )"},
    {"mutt", R"(
    S1: * OK [CAPABILITY *
    C1: a0000 LOGIN "ann" "secret"
    S1: a0000 OK *
    C1: a0001 LIST "" ""
    S1: * LIST (\Noselect) "/" ""
    S1: a0001 OK *
    C1: a0002 STATUS "INBOX" (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY)
    S1: * STATUS INBOX (MESSAGES 2 RECENT 0 UIDNEXT 3 UIDVALIDITY 1001 UNSEEN 1)
    S1: a0002 OK *
    C1: a0003 SELECT "INBOX"
    S1: ...
    S1: * 0 RECENT
    S1: ...
    S1: a0003 OK *
    C1: a0004 FETCH 1:2 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM SENDER SUBJECT TO CC MESSAGE-ID REFERENCES CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO REPLY-TO LINES LIST-POST X-LABEL)])
    S1: * 1 FETCH (UID 1 FLAGS (\Seen) INTERNALDATE "*" RFC822.SIZE * BODY[HEADER.FIELDS (*)] {*}
    S1: ...
    S1: a0004 OK *
    C1: a0005 UID FETCH 2 BODY.PEEK[]
    S1: ...
    S1: a0005 OK *
    C1: a0006 UID STORE 2 +FLAGS.SILENT (\Seen \Deleted)
    S1: a0006 OK *
    C1: a0007 EXPUNGE
    S1: * 2 EXPUNGE
    S1: a0007 OK *
    C1: a0008 CLOSE
    S1: a0008 OK *
  )"},
    {"mbsync", R"(
    L1:
    C1: 3 LIST "" "*"
    S1: * LIST (*) "/" Drafts
    S1: ...
    S1: 3 OK *
    C1: 4 SELECT "INBOX"
    S1: ...
    S1: 4 OK *
    C1: 5 UID FETCH 1:* (UID FLAGS)
    S1: * 1 FETCH (UID 1 FLAGS (\Seen))
    S1: * 2 FETCH (UID 2 FLAGS ())
    S1: 5 OK *
    C1: 6 UID FETCH 2 (FLAGS RFC822.SIZE BODY.PEEK[])
    S1: ...
    S1: 6 OK *
    C1: 7 UID STORE 2 +FLAGS.SILENT (\Seen)
    S1: 7 OK *
    C1: 8 APPEND "INBOX" (\Seen) {15+}
    C1: X-TUID: abc
    C1:
    C1:
    S1: * 3 EXISTS
    S1: * 0 RECENT
    S1: 8 OK [APPENDUID 1001 3] *
    C1: 9 UID SEARCH HEADER X-TUID abc
    S1: * SEARCH 3
    S1: 9 OK *
    C1: 10 UID STORE 1 +FLAGS.SILENT (\Deleted)
    S1: 10 OK *
    C1: 11 UID EXPUNGE 1
    S1: * 1 EXPUNGE
    S1: 11 OK *
    C1: 12 CLOSE
    S1: 12 OK *
  )"},
    {"fetchmail", R"(
    S1: * OK [CAPABILITY *
    C1: A0001 CAPABILITY
    S1: * CAPABILITY *
    S1: A0001 OK *
    C1: A0002 LOGIN "ann" "secret"
    S1: A0002 OK *
    C1: A0003 SELECT "INBOX"
    S1: ...
    S1: * 2 EXISTS
    S1: * 0 RECENT
    S1: ...
    S1: A0003 OK *
    C1: A0004 EXPUNGE
    S1: A0004 OK *
    C1: A0005 SEARCH UNSEEN NOT DELETED
    S1: * SEARCH 2
    S1: A0005 OK *
    C1: A0006 FETCH 1:2 RFC822.SIZE
    S1: * 1 FETCH (RFC822.SIZE *)
    S1: * 2 FETCH (RFC822.SIZE *)
    S1: A0006 OK *
    C1: A0007 FETCH 2 RFC822.HEADER
    S1: * 2 FETCH (RFC822.HEADER {*}
    S1: ...
    S1: A0007 OK *
    C1: A0008 FETCH 2 BODY.PEEK[TEXT]
    S1: * 2 FETCH (BODY[TEXT] {8}
    S1: second
    S1: )
    S1: A0008 OK *
    C1: A0009 STORE 2 +FLAGS (\Seen \Deleted)
    S1: * 2 FETCH (UID 2 FLAGS (\Deleted \Seen))
    S1: A0009 OK *
    C1: A0010 EXPUNGE
    S1: * 2 EXPUNGE
    S1: A0010 OK *
  )"},
};

INSTANTIATE_TEST_SUITE_P(Conversations, ImapClients,
                         ::testing::Combine(::testing::ValuesIn(kConversations),
                                            ::testing::Values(1, 7, 0)));

}  // namespace
}  // namespace posthorn::imap_gateway

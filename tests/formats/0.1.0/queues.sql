PRAGMA application_id=1768777586;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE dedup(queue INTEGER NOT NULL, dedup_id TEXT NOT NULL, message_id TEXT NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY(queue, dedup_id)) STRICT, WITHOUT ROWID;
CREATE TABLE messages(
    seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, visible_at INTEGER NOT NULL, receives INTEGER NOT NULL,
    sent_at INTEGER NOT NULL, receipt INTEGER, id TEXT NOT NULL, group_id TEXT, body TEXT NOT NULL) STRICT;
INSERT INTO "messages" VALUES(1,3,1795824148349,0,1795824148349,NULL,'0ef56cfff450ad783626e61bab769ff7',NULL,'{"v":1,"kind":"enqueued","sender":"vm-0","life":"a97ab62093962102","sequence":2,"images":3,"span_ms":271}');
INSERT INTO "messages" VALUES(2,3,1795824148429,0,1795824148429,NULL,'4f91b6547c89dc2d1e6537352982ef27',NULL,'{"v":1,"kind":"draining","sender":"app-tier-1","life":"e6b5045ca96df81f","sequence":2}');
INSERT INTO "messages" VALUES(3,3,1795824148429,0,1795824148429,NULL,'65e306f853c210cb4a2c416d0b49b335',NULL,'{"v":1,"kind":"worked","sender":"app-tier-1","life":"e6b5045ca96df81f","sequence":3,"images":4,"span_ms":447,"busy_share":0.3221476510067114}');
INSERT INTO "messages" VALUES(4,3,1795824148449,0,1795824148449,NULL,'6b06f00c41774bf9ffa15a0cb9a7527e',NULL,'{"v":1,"kind":"ended","sender":"app-tier-1","life":"e6b5045ca96df81f","sequence":4}');
INSERT INTO "messages" VALUES(5,1,1795824148869,0,1795824148869,NULL,'58551b77f07cd99df298dbee08bfbc12',NULL,'{"v":1,"job":"01M8FQBRAE8KD8Y35D30JFBT4V","session":"session-1","owner":"02ae399ae21dc25576454eabf299b98f","name":"red-waits.bmp","input":{"bucket":"inputs","key":"inputs/01M8FQBRAE8KD8Y35D30JFBT4V.02ae399ae21dc25576454eabf299b98f","bytes":246,"sha256":"a803d51a9d506b263975ed310f5d85d078175f05c0eb55fbfee509f866983bec"},"options":{"top_k":5},"reply_to":"imgrec-responses-vm-0","submitted_at":"2026-11-28T00:02:28.814Z","expires_at":"2999-01-01T00:00:00.000Z"}');
INSERT INTO "messages" VALUES(6,3,1795824148877,0,1795824148877,NULL,'05717b27a4f64b220646000d954d6d85',NULL,'{"v":1,"kind":"enqueued","sender":"vm-0","life":"30b24235a54c5a63","sequence":1,"images":1}');
INSERT INTO "messages" VALUES(7,1,1795824148941,0,1795824148941,NULL,'34dd0eefbc7ba774201b838de8ed2ec0',NULL,'{"v":1,"job":"01M8FQBRCSDAGQ9RT3B3XGCEAB","session":"session-1","owner":"02ae399ae21dc25576454eabf299b98f","name":"green-waits.bmp","input":{"bucket":"inputs","key":"inputs/01M8FQBRCSDAGQ9RT3B3XGCEAB.02ae399ae21dc25576454eabf299b98f","bytes":246,"sha256":"1b7fac5d1102cabbdbdb740ec70463d28c197683f37a74bd5f833cc49060d7cb"},"options":{"top_k":5},"reply_to":"imgrec-responses-vm-0","submitted_at":"2026-11-28T00:02:28.889Z","expires_at":"2999-01-01T00:00:00.000Z"}');
INSERT INTO "messages" VALUES(8,1,1795824149018,0,1795824149018,NULL,'3e13af846df4cab8d10536c6a0e2a1d5',NULL,'{"v":1,"job":"01M8FQBRFDNJ1GZEVNK3MJ391T","session":"session-1","owner":"02ae399ae21dc25576454eabf299b98f","name":"blue-waits.bmp","input":{"bucket":"inputs","key":"inputs/01M8FQBRFDNJ1GZEVNK3MJ391T.02ae399ae21dc25576454eabf299b98f","bytes":246,"sha256":"f0b9bc304b12d560edb81c012fbe4d7c9cb426b5a537963855b40970f51cc9ab"},"options":{"top_k":5},"reply_to":"imgrec-responses-vm-0","submitted_at":"2026-11-28T00:02:28.973Z","expires_at":"2999-01-01T00:00:00.000Z"}');
INSERT INTO "messages" VALUES(9,3,1795824149153,0,1795824149153,NULL,'a22296942ee71f885921204e0b4ae0af',NULL,'{"v":1,"kind":"enqueued","sender":"vm-0","life":"30b24235a54c5a63","sequence":2,"images":2,"span_ms":192}');
CREATE TABLE queues(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, fifo INTEGER NOT NULL) STRICT;
INSERT INTO "queues" VALUES(1,'imgrec-requests',0);
INSERT INTO "queues" VALUES(2,'imgrec-dead',0);
INSERT INTO "queues" VALUES(3,'imgrec-signals',0);
INSERT INTO "queues" VALUES(4,'imgrec-responses-vm-0',0);
INSERT INTO "queues" VALUES(5,'imgrec-shutdown-request',1);
INSERT INTO "queues" VALUES(6,'imgrec-shutdown-confirmed',1);
CREATE TABLE time(boot TEXT NOT NULL, offset INTEGER NOT NULL) STRICT;
INSERT INTO "time" VALUES('94a5e80e-b722-4406-8711-29ed073ad36c',1795811187397);
CREATE INDEX messages_ready ON messages(queue, visible_at, receives, sent_at);
CREATE INDEX messages_order ON messages(queue, seq, group_id) WHERE group_id IS NOT NULL;
CREATE INDEX dedup_expiry ON dedup(expires_at);
COMMIT;

// One feed of signed messages, replicated between two processes by ssb-ebt into ssb-db2.
//
//   node ssb.js serve FOLDER ENTRIES BYTES             -> {"address", "feed"}; serves until stdin ends
//   node ssb.js fetch FOLDER ADDRESS FEED ENTRIES      -> {"seconds", "entries", "bytes"}
//
// ssb-db2 checks the signature of each message that comes, and the chain. BYTES is the length of the text in a message:
// what stands around it (names, keys and hashes in base64, JSON) is part of every message.
const SecretStack = require('secret-stack')
const caps = require('ssb-caps')
const ssbKeys = require('ssb-keys')
const path = require('path')
const crypto = require('crypto')

function open (folder) {
  return SecretStack({ appKey: caps.shs })
    .use(require('ssb-db2'))
    .use(require('ssb-db2/compat/ebt'))
    .use(require('ssb-ebt'))
    .call(null, {
      path: folder,
      keys: ssbKeys.loadOrCreateSync(path.join(folder, 'secret')),
      connections: {
        incoming: { net: [{ scope: 'device', transform: 'shs', port: 0, host: '127.0.0.1' }] },
        outgoing: { net: [{ transform: 'shs' }] }
      },
      timeout: 600000
    })
}

const call = (run) => new Promise((resolve, reject) => run((error, value) => error ? reject(error) : resolve(value)))

async function serve (folder, entries, bytes) {
  const ssb = open(folder)
  for (let start = 0; start < entries; start += 1000) {
    const made = []
    for (let i = start; i < Math.min(entries, start + 1000); i++) {
      const text = crypto.randomBytes(bytes).toString('hex').slice(0, bytes)
      made.push(call(done => ssb.db.create({ keys: ssb.config.keys, content: { type: 'entry', text } }, done)))
    }
    await Promise.all(made)
  }
  await call(done => ssb.db.onDrain(done))
  ssb.ebt.request(ssb.id, true)
  console.log(JSON.stringify({ address: ssb.getAddress('device'), feed: ssb.id }))
}

async function fetch (folder, address, feed, entries) {
  const ssb = open(folder)
  let count = 0
  let bytes = 0
  const all = new Promise(resolve => {
    ssb.db.onMsgAdded(({ kvt }) => {
      if (count < 100) bytes += JSON.stringify(kvt.value).length
      if (++count === entries) resolve()
    })
  })
  const begun = process.hrtime.bigint()
  ssb.ebt.request(ssb.id, true)
  ssb.ebt.request(feed, true)
  await call(done => ssb.connect(address, done))
  await all
  // What it does by itself: the log is written and the base index follows.
  await call(done => ssb.db.onDrain('base', done))
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9
  console.log(JSON.stringify({ seconds, entries: count, bytes: Math.round(bytes / Math.min(100, count)) * count }))
  process.exit(0)
}

const [mode, folder, ...rest] = process.argv.slice(2)
process.stdin.on('end', () => process.exit(0)).resume()
if (mode === 'serve') serve(folder, Number(rest[0]), Number(rest[1]))
else fetch(folder, rest[0], rest[1], Number(rest[2]))

// One log of signed blocks, replicated over TCP between two processes with hypercore.
//
//   node hypercore.js serve FOLDER ENTRIES BYTES    -> {"port", "key"}; serves until stdin ends
//   node hypercore.js fetch FOLDER PORT KEY ENTRIES -> {"seconds", "entries", "bytes"}
//
// A block is [author's key, signature, what is signed], BYTES in all. Hypercore proves that each block is in the log of
// its owner; that proves nothing about who wrote an entry, so each signature is checked besides, as in a ledger of many.
const net = require('net')
const Hypercore = require('hypercore')
const sodium = require('sodium-native')

const WINDOW = 256

function keyPair () {
  const pk = Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES)
  const sk = Buffer.alloc(sodium.crypto_sign_SECRETKEYBYTES)
  sodium.crypto_sign_keypair(pk, sk)
  return { pk, sk }
}

async function serve (folder, entries, bytes) {
  const core = new Hypercore(folder)
  await core.ready()
  const { pk, sk } = keyPair()
  for (let start = 0; start < entries; start += 1000) {
    const blocks = []
    for (let i = start; i < Math.min(entries, start + 1000); i++) {
      const body = Buffer.alloc(bytes - 96)
      sodium.randombytes_buf(body)
      body.writeUInt32BE(i, 0)
      const signature = Buffer.alloc(64)
      sodium.crypto_sign_detached(signature, body, sk)
      blocks.push(Buffer.concat([pk, signature, body]))
    }
    await core.append(blocks)
  }
  const server = net.createServer(socket => {
    socket.on('error', () => {})
    const stream = core.replicate(false)
    stream.on('error', () => {})
    socket.pipe(stream).pipe(socket)
  })
  server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ port: server.address().port, key: core.key.toString('hex') }))
  })
}

async function fetch (folder, port, key, entries) {
  const core = new Hypercore(folder, Buffer.from(key, 'hex'))
  await core.ready()
  const begun = process.hrtime.bigint()
  const socket = net.connect(port, '127.0.0.1')
  socket.pipe(core.replicate(true)).pipe(socket)
  core.download({ start: 0, end: entries })
  let next = 0
  let bytes = 0
  const check = async () => {
    while (next < entries) {
      const block = await core.get(next++)
      bytes += block.length
      if (!sodium.crypto_sign_verify_detached(block.subarray(32, 96), block.subarray(96), block.subarray(0, 32))) {
        throw new Error('a signature does not hold')
      }
    }
  }
  await Promise.all(Array.from({ length: WINDOW }, check))
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9
  console.log(JSON.stringify({ seconds, entries: core.contiguousLength, bytes }))
  process.exit(0)
}

const [mode, folder, ...rest] = process.argv.slice(2)
process.stdin.on('end', () => process.exit(0)).resume()
if (mode === 'serve') serve(folder, Number(rest[0]), Number(rest[1]))
else fetch(folder, Number(rest[0]), rest[1], Number(rest[2]))

import crypto, { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { promisify } from 'node:util'
import { READY_KEYS } from './key-store.js'

/*
 * Hands out RSA keys that were made before the tests began. A new one takes a processor a tenth of a
 * second, and each emulator of Descope needs one: all of them together took minutes. There are more
 * than any test has emulators, so those that live at the same time never share a key.
 */

const isReady = Symbol.for('keys were made before the tests began')

type Pair = { publicKey: crypto.KeyObject; privateKey: crypto.KeyObject }

let at = Math.floor(Math.random() * READY_KEYS.count)
let texts: string[] | undefined

function nextPair(): Pair {
  texts ??= JSON.parse(readFileSync(READY_KEYS.file, 'utf8')) as string[]
  const privateKey = createPrivateKey(texts[at++ % texts.length] as string)
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

const original = crypto.generateKeyPair
if (!(isReady in original)) {
  const make = promisify(original) as (type: string, options: object) => Promise<Pair>
  const isUsual = (type: string, options: object) =>
    type === 'rsa' && JSON.stringify(options) === '{"modulusLength":2048}'
  const generate = async (type: string, options: object): Promise<Pair> =>
    isUsual(type, options) ? nextPair() : await make(type, options)
  const replacement = (
    type: string,
    options: object,
    done: (error: Error | null, publicKey?: unknown, privateKey?: unknown) => void,
  ) => {
    generate(type, options).then(
      ({ publicKey, privateKey }) => done(null, publicKey, privateKey),
      (error: Error) => done(error),
    )
  }
  Object.assign(crypto, {
    generateKeyPair: Object.assign(replacement, { [promisify.custom]: generate, [isReady]: true }),
  })
  syncBuiltinESMExports()
}

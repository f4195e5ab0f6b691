import { generateKeyPair } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** RSA keys for the emulators of all tests. */
export const READY_KEYS = {
  file: join(ROOT, 'node_modules', '.cache', 'test-keys', 'rsa-2048.json'),
  count: 32,
}

/** Makes the keys, unless an earlier run did. */
export async function makeKeys(): Promise<void> {
  const { file, count } = READY_KEYS
  if (existsSync(file)) return
  const generate = promisify(generateKeyPair)
  const pairs = await Promise.all(
    Array.from({ length: count }, () => generate('rsa', { modulusLength: 2048 })),
  )
  const texts = pairs.map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' }))
  mkdirSync(dirname(file), { recursive: true })
  // two runs may do this at the same time
  const own = `${file}.${process.pid}`
  writeFileSync(own, JSON.stringify(texts), { mode: 0o600 })
  renameSync(own, file)
}

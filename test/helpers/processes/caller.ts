import { createInterface } from 'node:readline'
import { readBearerChallenge } from '../../../src/auth/oauth/parse-challenge.js'
import { createDesk } from '../sign-in.js'

/** Calls a protected resource several times at once when told to, as a bridge does. */
const input = JSON.parse(process.argv[2] ?? '{}')

const { source } = createDesk({
  folder: input.folder,
  target: { grant: { kind: 'server', url: new URL(input.url) } },
})

async function call(): Promise<string> {
  for (let attempt = 0; attempt < 3; attempt++) {
    const token = await source.get()
    if (token === undefined) return 'sign-in'
    const response = await fetch(input.url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    })
    await response.text()
    if (response.status === 200) return 'ok'
    const challenge = readBearerChallenge(response.headers.get('www-authenticate'))
    const verdict = await source.refused(token, challenge)
    if (verdict.next !== 'retry') return verdict.next
  }
  return 'gave up'
}

process.stdout.write('"ready"\n')

for await (const _line of createInterface({ input: process.stdin })) {
  const keepAlive = setInterval(() => {}, 1_000)
  const answers = await Promise.all(Array.from({ length: input.calls }, call))
  clearInterval(keepAlive)
  process.stdout.write(`${JSON.stringify(answers)}\n`)
}

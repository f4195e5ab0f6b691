import { createClock } from '../../../src/util/async.js'
import { createSystem } from '../../../src/util/system.js'
import { createDesk } from '../sign-in.js'

/** Signs in as a bridge does, with the real launcher, and prints what happens. */
const input = JSON.parse(process.argv[2] ?? '{}')

const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

const { signIn } = createDesk({
  folder: input.folder,
  target: { grant: { kind: 'server', url: new URL(input.url) } },
  env: { BROWSER: process.env['BROWSER'] },
  options: { callbackPort: input.callbackPort },
  system: { launch: createSystem(process, createClock()).launch },
})

signIn.onChange((state) => {
  if (state.phase === 'waiting') print({ waiting: state.url, tab: state.tab })
})

const keepAlive = setInterval(() => {}, 1_000)

const record = await signIn.ensure({ interactive: 'offer' })

print({ token: record.accessToken })

clearInterval(keepAlive)

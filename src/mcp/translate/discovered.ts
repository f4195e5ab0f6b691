import { isObject, type JsonObject, stringMember } from '../../util/json.js'
import { PRODUCT, VERSION } from '../../util/version.js'
import { META, metaOf } from '../meta.js'
import { type LegacyClient, withoutTasks } from './client.js'

/** What both eras call by the same name. */
const SAME = ['tools', 'prompts', 'resources', 'completions', 'logging', 'experimental'] as const

/** Makes the result of `initialize` from that of `server/discover`. */
export function initializeResult(discovered: JsonObject, { version }: LegacyClient): JsonObject {
  const instructions = stringMember(discovered, 'instructions')
  const serverInfo = metaOf(discovered)[META.serverInfo]
  const { capabilities } = discovered
  return {
    protocolVersion: version,
    capabilities: isObject(capabilities) ? legacyCapabilities(capabilities) : {},
    serverInfo: isObject(serverInfo) ? serverInfo : { name: PRODUCT, version: VERSION },
    ...(instructions !== undefined && { instructions }),
  }
}

function legacyCapabilities(capabilities: JsonObject): JsonObject {
  const kept: JsonObject = {}
  for (const name of SAME) if (name in capabilities) kept[name] = capabilities[name]
  const { extensions } = capabilities
  const others = isObject(extensions) ? withoutTasks(extensions) : {}
  if (Object.keys(others).length > 0) kept['extensions'] = others
  return kept
}

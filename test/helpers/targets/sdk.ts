/** Real servers of both SDK generations, for tests from end to end. */
export {
  createSdkV1Server,
  type SdkV1Options,
  type SdkV1Target,
  startSdkV1Target,
} from './sdk-v1.js'
export {
  createSdkV2Server,
  type SdkV2Options,
  type SdkV2Target,
  startSdkV2Target,
} from './sdk-v2.js'

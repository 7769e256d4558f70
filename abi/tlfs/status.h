/* SPDX-License-Identifier: MIT */
#ifndef ABI_TLFS_STATUS_H
#define ABI_TLFS_STATUS_H

/*
 * HV_STATUS: the 16-bit outcome of a hypercall (TLFS, "Hypercall Status Codes").
 * Only the codes that Bulkhead returns or a caller of it handles are named.
 */

#define HV_STATUS_SUCCESS                             0x0000
#define HV_STATUS_INVALID_HYPERCALL_CODE              0x0002
#define HV_STATUS_INVALID_HYPERCALL_INPUT             0x0003
#define HV_STATUS_INVALID_ALIGNMENT                   0x0004
#define HV_STATUS_INVALID_PARAMETER                   0x0005
#define HV_STATUS_ACCESS_DENIED                       0x0006
#define HV_STATUS_INVALID_PARTITION_STATE             0x0007
#define HV_STATUS_OPERATION_DENIED                    0x0008
#define HV_STATUS_UNKNOWN_PROPERTY                    0x0009
#define HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE         0x000A
#define HV_STATUS_INSUFFICIENT_MEMORY                 0x000B
#define HV_STATUS_INVALID_PARTITION_ID                0x000D
#define HV_STATUS_INVALID_VP_INDEX                    0x000E
#define HV_STATUS_NOT_FOUND                           0x0010
#define HV_STATUS_INVALID_PORT_ID                     0x0011
#define HV_STATUS_INVALID_CONNECTION_ID               0x0012
#define HV_STATUS_INSUFFICIENT_BUFFERS                0x0013
#define HV_STATUS_NOT_ACKNOWLEDGED                    0x0014
#define HV_STATUS_INVALID_VP_STATE                    0x0015
#define HV_STATUS_INVALID_SYNIC_STATE                 0x0018
#define HV_STATUS_NO_RESOURCES                        0x001D
#define HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED     0x0020
#define HV_STATUS_INVALID_LP_INDEX                    0x0041
#define HV_STATUS_INVALID_REGISTER_VALUE              0x0050
#define HV_STATUS_OPERATION_FAILED                    0x0071
#define HV_STATUS_INSUFFICIENT_ROOT_MEMORY            0x0073
#define HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY      0x0075
#define HV_STATUS_TIME_OUT                            0x0078
#define HV_STATUS_CALL_PENDING                        0x0079
#define HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY 0x0083
#define HV_STATUS_VTL_ALREADY_ENABLED                 0x0086

#endif
